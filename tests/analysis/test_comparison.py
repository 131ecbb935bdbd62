import csv
import io

import pytest

from fl_backdoor.analysis.comparison import match
from fl_backdoor.analysis.comparison_text import csv as as_csv
from fl_backdoor.analysis.comparison_text import parts
from fl_backdoor.analysis.render.sheet import Sheet
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs import round_table
from fl_backdoor.runs.columns import ROUND_COLUMNS
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import write_run

MADE_ON = {"versions": {"torch": "2.11"}, "hardware": {"cpu": "one"}, "git_commit": "a" * 40}


def of(a, b):
    return match(find([a]), find([b]))


def text_of(found):
    return "\n".join(part for part in parts(found, "left", "right") if isinstance(part, str))


def sheets_of(found):
    return [part for part in parts(found, "left", "right") if isinstance(part, Sheet)]


def seeds(folder, accuracies, strategy="Hybrid", alpha=0.1, **more):
    for seed, accuracy in accuracies.items():
        write_run(
            folder / f"{strategy}_{alpha}_{seed}", strategy, alpha, seed, figures=(accuracy, 0.5, 0.5), **more
        )
    return folder


def test_three_seeds_by_hand(tmp_path):
    a = seeds(tmp_path / "a", {0: 0.5, 1: 0.6, 2: 0.7}, entries=MADE_ON)
    b = seeds(
        tmp_path / "b", {0: 0.8, 1: 0.7, 2: 0.9}, precision="bf16", entries=MADE_ON | {"git_commit": "b" * 40}
    )
    differs, figures = sheets_of(of(a, b))
    assert differs.rows == (("precision", "fp32", "bf16"), ("git_commit", "a" * 12, "b" * 12))
    assert figures.title == "Figures (3 seeds, paired; shares in %)"
    assert figures.rows == (
        ("accuracy", "60.00 ± 10.00", "80.00 ± 10.00", "+20.00", "-4.84 to 44.84", "0.25", "no"),
        ("ASR", "50.00 ± 0.00", "50.00 ± 0.00", "0.00", "0.00 to 0.00", "1", "no"),
        ("SR", "50.00 ± 0.00", "50.00 ± 0.00", "0.00", "0.00 to 0.00", "1", "no"),
    )
    assert "Larger than the spread over seeds: nothing." in text_of(of(a, b))


def test_one_seed_says_that_nothing_can_be_said(tmp_path):
    found = of(seeds(tmp_path / "a", {0: 0.5}), seeds(tmp_path / "b", {1: 0.75}))
    assert sheets_of(found)[0].rows[0] == ("accuracy", "50.00", "75.00", "+25.00", "–", "–", "?")
    assert "One seed on a side: nothing can be said about the spread over seeds." in text_of(found)


def test_a_difference_larger_than_the_spread(tmp_path):
    a = seeds(tmp_path / "a", {0: 0.5, 1: 0.6, 2: 0.7})
    b = seeds(tmp_path / "b", {0: 0.601, 1: 0.7, 2: 0.799}, precision="bf16")
    assert "Larger than the spread over seeds: accuracy." in text_of(of(a, b))


def test_different_data_sets_are_said_first(tmp_path):
    a = seeds(tmp_path / "a", {0: 0.5})
    b = seeds(tmp_path / "b", {0: 0.75}, dataset="mnist5k", entries={"dataset_fallback": "none here"})
    found = of(a, b)
    assert parts(found, "a", "b")[0].startswith("Different data sets, A CIFAR-10 and B mnist5k")
    assert len(sheets_of(found)) == 2, "the figures are shown nevertheless"
    assert "B: not the data set that was asked for: none here" in text_of(found)


def test_sweeps_are_matched_apart_from_what_differs_as_a_whole(tmp_path):
    for alpha in (0.1, 0.3):
        seeds(tmp_path / "a", {0: 0.5, 1: 0.6}, "Krum", alpha)
    for alpha in (0.3, 0.5):
        seeds(tmp_path / "b", {0: 0.7, 1: 0.8}, "Hybrid", alpha)
    found = of(tmp_path / "a", tmp_path / "b")
    [pair] = found.pairs
    assert pair.common == {"attack.alpha": 0.3}
    assert found.num_alone == (1, 1)
    assert pair.difference("main_task_accuracy").mean == pytest.approx(0.2)
    rows = {key: (a, b) for key, a, b in sheets_of(found)[0].rows}
    assert rows["strategy"] == ("Krum", "Hybrid")
    assert rows["attack.alpha"] == ("0.1, 0.3", "0.3, 0.5")
    assert "Settings of A without a partner: 1." in text_of(found)


def test_one_run_finds_its_partner_in_a_sweep(tmp_path):
    seeds(tmp_path / "a", {0: 0.5}, alpha=0.3)
    for alpha in (0.1, 0.3):
        seeds(tmp_path / "b", {0: 0.7}, alpha=alpha, precision="bf16")
    [pair] = of(tmp_path / "a", tmp_path / "b").pairs
    assert pair.b.runs[0].alpha == 0.3


def test_sweeps_over_other_axes_cannot_be_matched(tmp_path):
    for alpha in (0.1, 0.3):
        seeds(tmp_path / "a", {0: 0.5}, "Krum", alpha)
    for alpha in (0.2, 0.4):
        seeds(tmp_path / "b", {0: 0.5}, "Krum", alpha)
    with pytest.raises(FlBackdoorError, match=r"no setting of A is one of B; they vary attack\.alpha$"):
        of(tmp_path / "a", tmp_path / "b")


def write_model(folder, content=b"model"):
    for run in folder.iterdir():
        (run / "model.safetensors").write_bytes(content)
    return folder


def test_the_same_bits_clocks_aside(tmp_path):
    a = write_model(seeds(tmp_path / "a", {0: 0.5, 1: 0.6}))
    b = write_model(seeds(tmp_path / "b", {0: 0.5, 1: 0.6}))
    for number, path in enumerate([*a.rglob("rounds.csv"), *b.rglob("rounds.csv")]):
        header, *rows = (line.split(",") for line in path.read_text().splitlines())
        for row in rows:
            row[header.index("evaluate_seconds")] = f"{number}.5"
        path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    said = text_of(of(a, b))
    assert "Same bits, clocks aside, in tables and model: seeds 0, 1." in said
    assert "Nothing differs in their settings." in said
    assert "Not the same bits" not in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.safetensors", "Not the same bits, seed 0: model.safetensors."),
        ("rounds.csv", "Not the same bits, seed 0: rounds.csv from round 2 on (success_rate)."),
        ("clients.csv", "Not the same bits, seed 0: clients.csv in its length."),
    ],
)
def test_what_is_not_the_same_is_named(tmp_path, name, said):
    a, b = (write_model(seeds(tmp_path / side, {0: 0.5})) for side in "ab")
    path = b / "Hybrid_0.1_0" / name
    if name == "model.safetensors":
        path.write_bytes(b"modem")
    elif name == "clients.csv":
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    else:
        *others, last = path.read_text().splitlines()
        assert ",0.5,0.5," in last
        path.write_text("\n".join([*others, last.replace(",0.5,0.5,", ",0.5,0.625,", 1)]) + "\n")
        said = said.replace("success_rate", last_changed(path))
    assert said in text_of(of(a, b))


def last_changed(path):
    header, *_, last = path.read_text().splitlines()
    return header.split(",")[last.split(",").index("0.625")]


def test_a_missing_model_is_not_the_same(tmp_path):
    found = of(seeds(tmp_path / "a", {0: 0.5}), seeds(tmp_path / "b", {0: 0.5}))
    assert "Not the same bits, seed 0: model.safetensors is missing." in text_of(found)


def test_a_side_that_is_not_finished(tmp_path):
    found = of(
        seeds(tmp_path / "a", {0: 0.5}), seeds(tmp_path / "b", {0: 0.7}, status=None, precision="bf16")
    )
    said = text_of(found)
    assert "Nothing can be compared: a side has no finished run." in said
    assert "B: unfinished after 2 of 2 rounds" in said
    assert sheets_of(found)[0].rows == (("precision", "fp32", "bf16"),), "what can be read is shown"


def test_a_side_whose_settings_are_damaged(tmp_path):
    a, b = seeds(tmp_path / "a", {0: 0.5}), seeds(tmp_path / "b", {0: 0.75})
    (b / "Hybrid_0.1_0" / "config.yaml").write_text("{")
    found = of(a, b)
    assert found.differs == ()
    assert sheets_of(found)[0].rows[0][3] == "+25.00"
    assert "The settings of B are unknown." in text_of(found)


def test_the_csv_is_exact(tmp_path):
    found = of(seeds(tmp_path / "a", {0: 0.1, 1: 0.3}), seeds(tmp_path / "b", {0: 0.2, 1: 0.7}))
    accuracy, *_ = csv.DictReader(io.StringIO(as_csv(found).decode()))
    assert accuracy["mean_a"] == repr((0.1 + 0.3) / 2)
    assert accuracy["difference"] == repr(((0.2 - 0.1) + (0.7 - 0.3)) / 2)
    assert (accuracy["method"], accuracy["n_a"], accuracy["larger"]) == ("paired", "2", "false")


def test_a_column_that_an_earlier_version_did_not_write_is_no_difference(tmp_path):
    a = write_model(seeds(tmp_path / "a", {0: 0.5}))
    b = write_model(seeds(tmp_path / "b", {0: 0.5}))
    [of_a], [of_b] = a.rglob("rounds.csv"), b.rglob("rounds.csv")
    have_learning_rate(of_b, 0.05)
    assert "Same bits, clocks aside, in tables and model: seed 0." in text_of(of(a, b))
    have_learning_rate(of_a, 0.1)
    assert "rounds.csv from round 0 on (learning_rate)" in text_of(of(a, b))


def have_learning_rate(path, rate):
    rows = [row | {"learning_rate": rate} for row in round_table.read(path)]
    path.write_bytes(table.header(ROUND_COLUMNS) + table.lines(rows, ROUND_COLUMNS))
