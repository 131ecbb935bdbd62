"""Each figure's numbers against those worked out by hand or by an independent implementation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.report.cases import compare
from fl_backdoor.analysis.report.figure import LOOKS, Chart, Grid
from fl_backdoor.analysis.report.figures.attacks_by_defences import attacks_by_defences
from fl_backdoor.analysis.report.figures.by_round import by_round
from fl_backdoor.analysis.report.figures.class_accuracy import class_accuracy
from fl_backdoor.analysis.report.figures.decisions import decisions
from fl_backdoor.analysis.report.figures.label_histogram import label_histogram
from fl_backdoor.analysis.report.figures.pareto import front, pareto
from fl_backdoor.analysis.report.figures.roc import area, curve, roc
from fl_backdoor.analysis.report.figures.success_by_alpha import success_by_alpha
from fl_backdoor.analysis.report.figures.update_sizes import update_sizes
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.runs import find, read
from tests.analysis.report.made_runs import clients_of, rounds_of, write_run, write_sweep, write_tables


@pytest.fixture
def comparison(tmp_path):
    runs = find([write_sweep(tmp_path / "sweep")])
    fill_clean_figures(runs)
    [found] = compare(runs)
    return found


def series(chart: Chart, label: str):
    [found] = [one for one in chart.series if one.label == label]
    return found


def test_success_by_alpha(comparison):
    sr, asr = success_by_alpha(comparison)
    hybrid = series(asr, "Hybrid")
    assert hybrid.x == [0.0, 0.1, 0.3]
    assert hybrid.y == pytest.approx([0.06, 0.07, 0.32])
    assert hybrid.low == pytest.approx([0.04, 0.05, 0.30])
    assert hybrid.high == pytest.approx([0.08, 0.09, 0.34])
    assert series(sr, "FedAvg").y == pytest.approx([0.12, 0.84, 0.93])
    baseline = series(asr, "Hybrid, clean baseline")
    assert baseline.x == (0.0, 0.1, 0.3)
    assert baseline.y == pytest.approx([0.06, 0.06, 0.06])
    assert "Dotted" in asr.caption


def test_where_no_baseline_is_known_the_caption_speaks_of_none(tmp_path):
    for alpha in (0.1, 0.3):
        write_run(tmp_path / str(alpha), alpha=alpha)
    _, asr = success_by_alpha(compare(find([tmp_path]))[0])
    assert [one.label for one in asr.series] == ["Hybrid"]
    assert "Dotted" not in asr.caption


def test_one_alpha_is_no_curve(tmp_path):
    write_run(tmp_path / "a")
    assert success_by_alpha(compare(find([tmp_path]))[0]) == []


def test_figures_by_round_are_means_over_finished_runs(comparison):
    accuracy, asr = by_round(comparison, comparison.cases)
    line = series(asr, "Hybrid, α = 0.3")
    assert list(line.x) == [0, 1, 2]
    assert line.y == pytest.approx([0.08, 0.16, 0.32]), "the killed run is left out"
    assert line.low == pytest.approx([0.075, 0.15, 0.30])
    assert line.high == pytest.approx([0.085, 0.17, 0.34])
    assert series(accuracy, "FedAvg, α = 0.1, clean baseline").y == pytest.approx([0.1725, 0.345, 0.69])


def test_a_single_run_has_its_figures_in_one(tmp_path):
    write_run(tmp_path / "a", status=None)
    [comparison] = compare(find([tmp_path]))
    [chart] = by_round(comparison, comparison.cases)
    assert [one.label for one in chart.series] == [
        f"{name} (not finished)" for name in ("accuracy", "ASR", "SR")
    ]
    assert [one.y[-1] for one in chart.series] == [0.6, 0.9, 0.91]
    assert [one.low for one in chart.series] == [(), (), ()]


def test_pareto(comparison):
    strong, weak = pareto(comparison)
    assert strong.title.endswith("α = 0.3")
    assert weak.title.endswith("α = 0.1")
    edge = series(strong, "Pareto front")
    assert (list(edge.x), list(edge.y)) == (pytest.approx([0.32, 0.92]), pytest.approx([0.59, 0.65]))
    fedavg = series(strong, "FedAvg")
    assert not fedavg.look.hollow
    ends = (fedavg.x_low, fedavg.x_high, fedavg.low, fedavg.high)
    assert ends == tuple(pytest.approx([end]) for end in (0.90, 0.94, 0.64, 0.66))


def test_a_beaten_defence_is_hollow(tmp_path):
    write_run(tmp_path / "a", "FedAvg", figures=(0.6, 0.9, 0.9))
    write_run(tmp_path / "b", "Hybrid", figures=(0.7, 0.2, 0.2))
    [chart] = pareto(compare(find([tmp_path]))[0])
    assert [one.look.hollow for one in chart.series[1:]] == [True, False]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_what_nobody_beats(points):
    def beats(one, other):
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    expected = {point for point in points if not any(beats(other, point) for other in points)}
    found = front(points)
    assert set(found) == expected
    assert found == sorted(expected)


def test_attacks_by_defences(comparison):
    [grid] = attacks_by_defences(comparison)
    assert grid.rows == ("no attack", "α = 0.1", "α = 0.3")
    assert grid.columns == ("FedAvg", "Hybrid")
    assert [pytest.approx(line) for line in ([0.04, 0.06], [0.82, 0.07], [0.92, 0.32])] == list(grid.values)


def test_the_row_of_nobody_is_filled_from_baselines(tmp_path):
    write_run(tmp_path / "a", "FedAvg", figures=(0.6, 0.9, 0.9), clean=(0.7, 0.03, 0.1))
    write_run(tmp_path / "b", "Hybrid", figures=(0.6, 0.2, 0.2))
    [grid] = attacks_by_defences(compare(find([tmp_path]))[0])
    assert grid.rows == ("no attack", "α = 0.1")
    assert grid.values == ((0.03, None), (0.9, 0.2))


def test_label_histogram(tmp_path):
    folder = write_run(tmp_path / "a")
    run = read(folder)
    assert label_histogram(run) == []
    (folder / "labels.csv").write_text("client_id,cat,dog\n0,5,0\n2,1,7\n")
    [grid] = label_histogram(run)
    assert grid.rows == ("0", "2 (attacker)")
    assert grid.columns == ("cat", "dog")
    assert grid.values == ((5, 0), (1, 7))
    assert grid.top == 7


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a,b\n", "id,cat\n0,1\n", "client_id,cat\n0\n", "client_id,cat\n0,many\n", "client_id\n0\n"],
)
def test_damaged_labels_are_told_of(tmp_path, text):
    folder = write_run(tmp_path / "a")
    (folder / "labels.csv").write_text(text)
    with pytest.raises(FlBackdoorError, match=r"labels\.csv is damaged"):
        label_histogram(read(folder))


def test_accuracy_of_each_class_by_round(tmp_path):
    folder = write_run(tmp_path / "a")
    assert class_accuracy(read(folder)) == []
    (folder / "class_accuracy.csv").write_text("server_round,cat,dog\n0,0.5,0.25\n1,1.0,\n2,0.75,0\n")
    run = read(folder)
    run.rounds[2]["diverged"] = "NaN"
    [grid] = class_accuracy(run)
    assert (grid.rows, grid.columns) == (("cat", "dog"), ("0", "1"))
    assert grid.values == ((0.5, 1.0), (0.25, None))
    lines = [f"{at},{at / 100}" for at in range(101)]
    (folder / "class_accuracy.csv").write_text("\n".join(["server_round,cat", *lines, ""]))
    [many] = class_accuracy(read(folder))
    assert len(many.columns) == 20
    assert (many.columns[0], many.columns[-1]) == ("0", "100")


@pytest.mark.parametrize("text", ["", "round,cat\n0,1\n", "server_round\n0\n", "server_round,cat\n0,2\n"])
def test_damaged_class_accuracy_is_told_of(tmp_path, text):
    folder = write_run(tmp_path / "a")
    (folder / "class_accuracy.csv").write_text(text)
    with pytest.raises(FlBackdoorError, match=r"class_accuracy\.csv is damaged"):
        class_accuracy(read(folder))


def test_update_sizes(tmp_path):
    run = read(write_run(tmp_path / "a"))
    norm, distance = update_sizes(run)
    assert [one.label for one in norm.series] == [
        "benign, median and quartiles",
        "benign client",
        "malicious, not attacking",
        "attacking",
    ]
    quartiles, benign, idle, attacking = norm.series
    # Benign clients 0, 1 and 3 have norms 1, 1.25 and 1.75.
    assert (quartiles.low, quartiles.y, quartiles.high) == ((1.125,) * 2, (1.25,) * 2, (1.5,) * 2)
    assert sorted(benign.y) == [1.0, 1.0, 1.25, 1.25, 1.75, 1.75]
    assert (idle.x, idle.y, idle.names) == ([1], [1.5], ["client 2"])
    assert (attacking.x, attacking.y) == ([2], [1.5])
    assert distance.series[-1].y == [3.0]


def test_who_was_left_out_clipped_and_flagged(tmp_path):
    [chart] = decisions(read(write_run(tmp_path / "a")))
    places = {text: place for place, text in chart.y.ticks}
    assert list(places) == ["2 (attacker)", "0", "1", "3"], "attackers come first"

    def marked(label):
        found = series(chart, label)
        return {
            (x, {place: text for text, place in places.items()}[y])
            for x, y in zip(found.x, found.y, strict=True)
        }

    assert marked("attacked") == {(2, "2 (attacker)")}
    assert marked("clipped") == {(1, "1"), (2, "1")}
    assert marked("left out") == {(1, "3"), (2, "3")}
    assert marked("flagged") == {(1, "3"), (2, "3"), (1, "2 (attacker)"), (2, "2 (attacker)")}
    assert marked("kept as it was") == {(1, "0"), (2, "0"), (1, "2 (attacker)"), (2, "2 (attacker)")}


def test_many_clients_are_cut_and_it_is_said(tmp_path):
    folder = write_run(tmp_path / "a")
    clients = [dict(clients_of(0.1)[0], client_id=client) for client in range(150)]
    write_tables(folder, rounds_of(0.6, 0.9, 0.9), clients)
    [chart] = decisions(read(folder))
    assert len(chart.y.ticks) == 100
    assert chart.caption.endswith("50 benign clients are left out.")


def test_roc_by_hand(tmp_path):
    [chart] = roc(read(write_run(tmp_path / "a")))
    labels = [one.label for one in chart.series]
    # One attack; norms of benign clients: 1 1 1.25 1.25 1.75 1.75 against its 1.5. Client 2's other reply,
    # in a round in which it did not attack, counts in neither.
    assert labels == [
        "chance",
        f"update norm (AUC {4 / 6:.3f})",
        "gradient norm (AUC 0.500)",
        "mean distance (AUC 1.000)",
        "the defence itself",
    ]
    own = chart.series[-1]
    assert (own.x, own.y) == ([pytest.approx(2 / 6)], [1.0])
    assert chart.caption.endswith(
        "it flagged 100.0\u00a0% of the attacks, 33.3\u00a0% of the benign clients’ replies."
    )


def test_without_attackers_there_is_no_roc(tmp_path):
    assert roc(read(write_run(tmp_path / "a", alpha=0.0))) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_roc_equals_scikit_learn(pairs):
    from sklearn.metrics import roc_auc_score, roc_curve  # two seconds, of each process that collects this

    scores = np.array([score for score, _ in pairs], float)
    attacking = np.array([found for _, found in pairs])
    if attacking.all() or not attacking.any():
        return
    x, y = curve(scores, attacking)
    expected_x, expected_y, _ = roc_curve(attacking, scores, drop_intermediate=False)
    np.testing.assert_allclose(x, expected_x)
    np.testing.assert_allclose(y, expected_y)
    assert area(x, y) == pytest.approx(roc_auc_score(attacking, scores))


def test_looks_are_told_apart_without_colour_in_each_figure():
    assert len(set(LOOKS)) == 56
    for one, other in pairwise(LOOKS):
        assert one.colour != other.colour
        assert one.marker != other.marker
    assert len({look.marker for look in LOOKS[:8]}) == 8


def test_values_of_a_grid_are_written_in_their_unit():
    grid = Grid("n", "t", "c", "r", "c", "v", ("a",), ("b",), ((0.123,),), percent=True)
    assert (grid.text(0.123), grid.text(None), grid.top) == ("12.3", "", 1.0)
