"""A run whose model has diverged, written by the program itself, and what all readers make of it."""

import contextlib
import csv
import io
import json
import math
from dataclasses import replace

import pytest

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.objective import objective
from fl_backdoor.analysis.report import cases
from fl_backdoor.analysis.report.figures.by_round import by_round
from fl_backdoor.analysis.report.figures.pareto import pareto
from fl_backdoor.analysis.report.verdict import headline, judge
from fl_backdoor.analysis.sweep import collect
from fl_backdoor.cli import compare, table
from fl_backdoor.runner.display.live import round_line
from fl_backdoor.runs import clean_baseline
from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.runs import find, read
from tests.analysis.report.made_reports import make
from tests.analysis.report.made_runs import clients_of, rounds_of, settings, write_run

REASON = "2000 of 2000 predictions are not finite"


@pytest.fixture
def write(facts):
    """Write a run of two rounds as the program does; its model has diverged in the rounds that are named."""

    def written(
        folder, *, alpha=0.1, seed=0, diverged_in=(2,), strategy="Hybrid", figures=(0.6, 0.9, 0.91), clean=()
    ):
        run = RunFolder(folder)
        run.start(settings(strategy, alpha, seed), [])
        for row in rounds_of(*figures, clean):
            at = row["server_round"]
            more = {"test_loss": 0.5, "diverged": REASON if at in diverged_in else None}
            run.append(row | more, [client for client in clients_of(alpha) if client["server_round"] == at])
        more = replace(facts, seed=seed, strategy=strategy, alpha=alpha, attacks=alpha > 0, num_rounds=2)
        run.finish("finished", {}, more)
        return folder

    return written


def judged(folder):
    runs = find([folder])
    fill_clean_figures(runs)
    [comparison] = cases.compare(runs)
    return judge(comparison)


def printed(program, *arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        program([str(argument) for argument in arguments])
    return said.getvalue()


def test_the_summary_says_so_and_has_no_figures(tmp_path, write):
    summary = json.loads((write(tmp_path / "run") / "summary.json").read_text())
    assert (summary["status"], summary["diverged"]) == ("diverged", REASON)
    assert summary["attack_success_rate"] is summary["main_task_accuracy"] is None
    assert summary["best"]["attack_success_rate"] == {"value": 0.45, "server_round": 1}


def test_a_model_that_recovered_is_a_result_and_its_lost_round_a_gap(tmp_path, write):
    run = read(write(tmp_path / "run", diverged_in=(1,)))
    assert (run.status, run.diverged, run.final("attack_success_rate")) == ("finished", None, 0.9)
    [comparison] = cases.compare([run])
    [chart] = by_round(comparison, comparison.cases)
    assert [list(line.x) for line in chart.series] == [[0, 2]] * 3


def test_the_rounds_line_says_so(round_row):
    assert f"diverged: {REASON}" in round_line(round_row(server_round=1, diverged=REASON), (), 2, None).plain


def test_nothing_is_called_holds_by_it(tmp_path, write):
    # ASR 0 % beside a baseline of 0 %: a seed that can be judged would hold.
    for seed in (0, 1):
        write(
            tmp_path / f"{seed}", seed=seed, figures=(0.6, 0, 0), clean=(0.6, 0, 0.1), diverged_in=(2,) * seed
        )
    [verdict] = judged(tmp_path)
    assert verdict.word == "diverged"
    assert (
        verdict.sentence
        == "Under Hybrid the model diverged (α = 0.1; 1 of 2 seeds): nothing is judged by it."
    )
    write(tmp_path / "other", strategy="Krum", figures=(0.6, 0, 0), clean=(0.6, 0, 0.1), diverged_in=())
    assert headline(judged(tmp_path)) == "Of 2 defences, 1 holds (Krum), 1 diverged (Hybrid)."


def test_of_several_attacks_the_one_that_diverged_counts(tmp_path, write):
    write(tmp_path / "a", alpha=0.1, figures=(0.6, 0.9, 0.9), clean=(0.6, 0, 0.1), diverged_in=())
    write(tmp_path / "b", alpha=0.3)
    [verdict] = judged(tmp_path)
    said = "the model diverged (the worst of 2 attacks, α = 0.3; 1 of 1 seed)"
    assert verdict.sentence == f"Under Hybrid {said}: nothing is judged by it."


def test_it_is_no_clean_baseline_and_no_number_for_a_search(tmp_path, write):
    clean = write(tmp_path / "clean", alpha=0.0)
    attacked = write(tmp_path / "attacked", diverged_in=())
    runs = find([tmp_path])
    fill_clean_figures(runs)
    assert {run.name: run.final("clean_success_rate") for run in runs} == {"attacked": None, "clean": None}
    assert math.isnan(objective(clean, "main_task_accuracy", None))
    assert objective(attacked, "main_task_accuracy", None) == 0.6


def test_a_baseline_lacks_the_rounds_that_diverged(tmp_path, write, round_row):
    run = write(tmp_path / "clean", alpha=0.0, diverged_in=(1,))
    clean_baseline.register(tmp_path / "baselines", "key", run / "rounds.csv")
    assert list(clean_baseline.lookup(tmp_path / "baselines", "key") or {}) == [0, 2]


def test_a_run_that_never_moved_its_model_is_no_baseline(tmp_path, round_row):
    run = RunFolder(tmp_path / "run")
    run.start({}, [])
    for at in range(3):
        run.append(round_row(server_round=at, main_task_accuracy=0.1, model_updated=False), [])
    clean_baseline.register(tmp_path / "baselines", "key", run.rounds_csv)
    assert clean_baseline.lookup(tmp_path / "baselines", "key") is None


def test_the_table_says_so_and_leaves_it_out_of_means(tmp_path, write):
    write(tmp_path / "a" / "0", diverged_in=())
    write(tmp_path / "a" / "1", seed=1)
    write(tmp_path / "b" / "2", alpha=0.3)
    shown = printed(table.main, tmp_path)
    some, none = [line for line in shown.splitlines() if line.startswith("| Hybrid")]
    assert some.startswith("| Hybrid<sup>a,b,c</sup> | 0.1 | 1 | 60.0 | – | 90.0")
    assert none.startswith("| Hybrid<sup>d</sup> | 0.3 | 0 | diverged | – | diverged | – | diverged")
    assert f"diverged: {REASON} (seed 1)" in shown
    assert f"<sup>d</sup> diverged: {REASON}" in shown


def test_a_comparison_says_so(tmp_path, write):
    fine, lost = write(tmp_path / "fine", diverged_in=()), write(tmp_path / "lost")
    shown = printed(compare.main, fine, lost)
    assert f"B: {lost} (CIFAR-10, diverged, seed 0)" in shown
    assert "Nothing can be compared: B diverged." in shown
    assert f"B: diverged: {REASON}" in shown


def test_the_report_says_so(tmp_path, write):
    write(tmp_path / "runs" / "lost")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        made = make(tmp_path / "page.html", said.getvalue, tmp_path / "runs", details=0)
    top = made.page[: made.page.index('id="results"')]
    assert "Under Hybrid the model diverged (α = 0.1; 1 of 1 seed): nothing is judged by it." in top
    assert "1 of 1 run diverged: left out of all means" in top
    [_, row] = made.tables()["Results on CIFAR-10"]
    assert row[2:5] == ["diverged"] * 3
    assert f"diverged: {REASON}" in row[-1]


def test_a_sweep_says_so_and_no_figure_has_it(tmp_path, write):
    write(tmp_path / "lost")
    write(tmp_path / "fine", seed=1, diverged_in=())
    collect(tmp_path)
    with (tmp_path / "sweep.csv").open(newline="") as lines:
        rows = {row["run"]: row for row in csv.DictReader(lines)}
    assert (rows["lost"]["status"], rows["lost"]["diverged"]) == ("diverged", REASON)
    assert (rows["lost"]["attack_success_rate"], rows["fine"]["attack_success_rate"]) == ("", "0.9")
    [comparison] = cases.compare(find([tmp_path]))
    assert pareto(comparison) == []


def test_a_run_in_which_nobody_attacked_is_not_judged(tmp_path):
    """The schedule began after the last round: the attack neither fails nor works."""
    folder = write_run(tmp_path / "run", "FedAvg", figures=(0.6, 0.0, 0.1), clean=(0.6, 0.0, 0.1))
    clients = [row | {"attacking": False} for row in clients_of(0.1)]
    rewrite(folder / "clients.csv", clients)
    [verdict] = judged(tmp_path)
    assert (verdict.word, verdict.sentence) == (None, "Under FedAvg nobody attacked (α = 0.1): not judged.")
    assert headline([verdict]) == verdict.sentence
    assert read(folder).marks == ["nobody attacked: no reply that was used came from a client that attacked"]
    # Neither is one in which whatever attackers sent was refused.
    rewrite(
        folder / "clients.csv",
        [row | {"rejected": "NaN"} if row["malicious"] else row for row in clients_of(0.1)],
    )
    assert judged(tmp_path)[0].sentence == "Under FedAvg nobody attacked (α = 0.1): not judged."


def test_a_run_in_which_no_round_moved_the_model_is_not_judged(tmp_path):
    folder = write_run(tmp_path / "run", figures=(0.1, 0.0, 0.1), clean=(0.6, 0.0, 0.1))
    rewrite(
        folder / "rounds.csv",
        [row | {"model_updated": False} for row in rounds_of(0.1, 0.0, 0.1, (0.6, 0.0, 0.1))],
    )
    [verdict] = judged(tmp_path)
    assert verdict.sentence == "Under Hybrid no round moved the model (α = 0.1): not judged."
    assert read(folder).marks == ["no round moved the model: it is the one that the run began with"]


def rewrite(path, rows):
    with path.open("w", newline="") as file:
        table_of = csv.DictWriter(file, list(rows[0]))
        table_of.writeheader()
        table_of.writerows({name: cell_of(cell) for name, cell in row.items()} for row in rows)


def cell_of(cell):
    return str(cell).lower() if isinstance(cell, bool) else cell
