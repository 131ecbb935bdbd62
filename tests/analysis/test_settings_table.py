import csv
import io
import statistics

import pytest

from fl_backdoor.analysis.more_figures import MORE_FIGURES
from fl_backdoor.analysis.seeds import Spread
from fl_backdoor.analysis.settings_table import NO_BASELINE, ONE_SEED, sheet, tabulate
from fl_backdoor.analysis.settings_table import csv as as_csv
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import write_run, write_sweep


def table_of(folder):
    return tabulate(find([folder]))


def rows_of(content):
    return list(csv.DictReader(io.StringIO(as_csv(content).decode())))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return table_of(write_sweep(tmp_path_factory.mktemp("sweep") / "runs"))


def test_the_sheet_by_hand(sweep):
    found = sheet(sweep)
    assert found.title.startswith("CIFAR-10, 2 rounds, 4 clients. Per cent, mean ± standard deviation")
    assert found.columns == (
        *("Defence", "α", "Attackers", "Seeds"),
        *("Accuracy", "clean", "ASR", "clean", "SR", "clean"),
    )
    # Each seed has one point less accuracy and two points more ASR and SR than the one before it.
    rows = [
        ("FedAvg", "0", "0", "69.0", "69.0", "4.0", "4.0", "12.0", "12.0"),
        ("FedAvg", "0.1", "1", "67.0", "69.0", "82.0", "4.0", "84.0", "12.0"),
        ("FedAvg", "0.3", "1", "65.0", "69.0", "92.0", "4.0", "93.0", "12.0"),
        ("Hybrid", "0", "0", "65.0", "65.0", "6.0", "6.0", "13.0", "13.0"),
        ("Hybrid", "0.1", "1", "64.0", "65.0", "7.0", "6.0", "14.0", "13.0"),
        ("Hybrid", "0.3", "1", "59.0", "65.0", "32.0", "6.0", "36.0", "13.0"),
    ]
    spreads = ("1.0", "1.0", "2.0", "2.0", "2.0", "2.0")
    for row, (*names, a, b, c, d, e, f) in zip(found.rows, rows, strict=True):
        figures = [f"{mean} ± {std}" for mean, std in zip((a, b, c, d, e, f), spreads, strict=True)]
        assert row == (*names, "3", *figures)
    assert found.footnotes == ("unfinished after 2 of 2 rounds (seed 3)",)
    assert found.noted == ((), (), (), (), (), (0,))


def test_further_columns_by_hand(sweep):
    names = ("peak_attack_success_rate", "rounds_to_open", "robust_accuracy", "benign_cpu_seconds")
    found = sheet(sweep, names)
    assert found.columns[-4:] == ("peak ASR", "rounds to open", "robust accuracy", "benign client, CPU (s)")
    # The attack is in the last round, so that its ASR is the peak; half of all is never reached by Hybrid.
    cells = {row[:2]: row[-4:] for row in found.rows}
    assert cells["FedAvg", "0"] == ("–", "–", "–", "–")
    assert cells["FedAvg", "0.1"] == ("82.0 ± 2.0", "1.0 ± 0.0", "–", "–")
    assert cells["Hybrid", "0.3"] == ("32.0 ± 2.0", "–", "–", "–")
    exact = rows_of(sweep)[1]
    assert (exact["rounds_to_open_n"], exact["rounds_to_open_mean"]) == ("3", "1.0")


def test_of_seeds_that_know_nothing_it_is_said(tmp_path):
    figure = MORE_FIGURES["rounds_to_open"]
    assert figure.text(Spread((4.0,), 4.0, None, None, None), 3) == "4.0 (1 of 3 seeds)"
    assert figure.text(Spread((4.0, 6.0), 5.0, 1.4142, 4.0, 6.0), 2) == "5.0 ± 1.4"


def test_a_run_that_has_diverged_has_no_further_figures(tmp_path):
    write_run(tmp_path / "a", status="diverged", entries={"diverged": "NaN", "robust_accuracy": None})
    [row] = sheet(table_of(tmp_path), tuple(MORE_FIGURES)).rows
    assert set(row[-len(MORE_FIGURES) :]) == {"diverged"}


def test_the_csv_is_exact(sweep):
    row = rows_of(sweep)[-1]
    seeds = [0.30, 0.30 + 0.02, 0.30 + 0.02 * 2]
    assert row["seeds"] == "0 1 2"
    assert row["attack_success_rate_n"] == "3"
    assert row["attack_success_rate_mean"] == repr(statistics.fmean(seeds))
    assert row["attack_success_rate_std"] == repr(statistics.stdev(seeds))
    # With three seeds the interval goes from the lowest to the highest.
    assert float(row["attack_success_rate_low"]) == pytest.approx(0.30)
    assert float(row["attack_success_rate_high"]) == pytest.approx(0.34)
    assert (row["true_positive_rate_n"], row["true_positive_rate_mean"]) == ("0", "")
    assert row["marks"] == "unfinished after 2 of 2 rounds (seed 3)"


def test_one_run(tmp_path):
    entries = {
        "true_positive_rate": 0.25,
        "false_positive_rate": 0.125,
        "client_true_positive_rate": 1.0,
        "client_false_positive_rate": 0.5,
    }
    content = table_of(write_run(tmp_path / "a", "Oracle", entries=entries))
    found = sheet(content)
    assert found.columns[:3] == ("Defence", "α", "Seeds")
    assert found.columns[-4:] == ("round TPR", "round FPR", "client TPR", "client FPR")
    figures = ("60.0", "–", "90.0", "–", "91.0", "–", "25.0", "12.5", "100.0", "50.0")
    assert found.rows == (("Oracle", "0.1", "1", *figures),)
    assert found.footnotes[0] == ONE_SEED
    assert found.footnotes[1].startswith("oracle: strategy.num_malicious = 1")
    assert found.footnotes[2] == NO_BASELINE
    assert rows_of(content)[0]["attack_success_rate_std"] == ""


def test_settings_that_differ_have_a_column_and_numbers_are_sorted_by_size(tmp_path):
    for name, size in (("a", 128), ("b", 32), ("c", None)):
        write_run(tmp_path / name, client={"learning_rate": 0.05, "batch_size": size})
    write_run(tmp_path / "d", client={"learning_rate": 0.05})
    found = sheet(table_of(tmp_path))
    assert found.columns[:3] == ("Defence", "α", "client.batch_size")
    assert [row[2] for row in found.rows] == ["null", "–", "32", "128"]


def test_a_setting_that_only_one_defence_has_is_no_column(sweep):
    assert sweep.keys == ("strategy", "attack.alpha", "attack.num_malicious")


def test_two_data_sets_are_two_rows(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", dataset="mnist5k", entries={"dataset_fallback": "no CIFAR-10"})
    found = sheet(table_of(tmp_path))
    assert [row[0] for row in found.rows] == ["CIFAR-10", "mnist5k"]
    assert found.title.startswith("2 rounds")
    fallback = found.footnotes.index("not the data set that was asked for: no CIFAR-10")
    assert [fallback in noted for noted in found.noted] == [False, True]


def test_a_baseline_of_some_seeds_only_is_marked(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", seed=seed)
    write_run(tmp_path / "clean", alpha=0.0, seed=0, figures=(0.7, 0.02, 0.1))
    attacked = sheet(table_of(tmp_path))
    assert attacked.rows[1][5] == "70.0"
    assert "clean baseline of 1 of 2 seeds" in attacked.footnotes


def test_figures_of_a_run_whose_table_is_damaged_come_from_its_summary(tmp_path):
    folder = write_run(tmp_path / "a", entries={"attack_success_rate": 0.875})
    (folder / "rounds.csv").write_text("what\n")
    assert sheet(table_of(folder)).rows[0][5] == "87.5"


def test_a_setting_without_a_finished_run_has_a_row(tmp_path):
    write_run(tmp_path / "a", status=None)
    found = sheet(table_of(tmp_path))
    assert found.rows == (("Hybrid", "0.1", "0", *("–",) * 6),)
    assert found.footnotes == ("unfinished after 2 of 2 rounds",)


def test_a_run_whose_settings_are_damaged_adds_no_columns(tmp_path):
    write_run(tmp_path / "a")
    (write_run(tmp_path / "b", "Krum") / "config.yaml").write_text("{")
    found = sheet(table_of(tmp_path))
    assert found.columns[:3] == ("Defence", "α", "Seeds")
    assert [row[:2] for row in found.rows] == [("Hybrid", "0.1"), ("Krum", "–")]
