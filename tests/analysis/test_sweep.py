import csv
import logging

import numpy as np
import pytest
from PIL import Image

from fl_backdoor.analysis.sweep import collect, differing_settings
from fl_backdoor.analysis.sweep_figure import Point, group, points
from fl_backdoor.runs.runs import flatten


def settings(alpha, seed=1, **more):
    attack = {"alpha": alpha, "num_malicious": 3, "boost_factor": 1.0, "target_label": 5}
    return {"seed": seed, "num_rounds": 16, "attack": attack, "strategy": {"_target_": "s.Hybrid"}} | more


def entries(seed=1, attacks=True, **more):
    return {"seed": seed, "dataset": "CIFAR-10", "strategy": "Hybrid", "attacks": attacks} | more


def rows_of(folder):
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sweep(tmp_path, write_run):
    """α = 0.052, then α = 0, and a run that was cut off."""
    write_run(
        "0_hybrid",
        settings(0.052, engine={"num_workers": 4}),
        **entries(main_task_accuracy=0.6, attack_success_rate=0.9, success_rate=0.91, wall_seconds=99.5),
    )
    write_run(
        "1_hybrid",
        settings(0.0, engine={"num_workers": 2}),
        **entries(attacks=False, main_task_accuracy=0.65, attack_success_rate=0.02, success_rate=0.1),
    )
    broken = write_run("2_hybrid", settings(0.1), **entries())
    (broken / "summary.json").write_text('{"status": "fin')
    return tmp_path


def test_the_table_by_hand(sweep):
    collect(sweep)
    assert (sweep / "sweep.csv").read_text() == (
        "run,dataset,strategy,attack.alpha,attack.num_malicious,engine.num_workers,seed,status,diverged,"
        "rounds_finished,"
        "main_task_accuracy,test_loss,attack_success_rate,success_rate,clean_main_task_accuracy,"
        "clean_attack_success_rate,clean_success_rate,true_positive_rate,false_positive_rate,"
        "client_true_positive_rate,client_false_positive_rate,wall_seconds,robust_accuracy,"
        "mean_client_accuracy,worst_tenth_client_accuracy,peak_attack_success_rate,late_attack_success_rate,"
        "rounds_to_open\n"
        "1_hybrid,CIFAR-10,Hybrid,0.0,3,2,1,finished,,16,0.65,,0.02,0.1,0.65,0.02,0.1,,,,,,,,,,,\n"
        "0_hybrid,CIFAR-10,Hybrid,0.052,3,4,1,finished,,16,0.6,,0.9,0.91,0.65,0.02,0.1,,,,,99.5,,,,,,\n"
    )


def test_the_broken_run_is_named(sweep, caplog):
    with caplog.at_level(logging.WARNING, "fl_backdoor"):
        collect(sweep)
    [record] = caplog.records
    assert "2_hybrid left out" in record.getMessage()


def test_collecting_again_writes_the_same_and_leaves_no_drafts(sweep):
    collect(sweep)
    before = {path.name: path.read_bytes() for path in sweep.iterdir() if path.is_file()}
    collect(sweep)
    assert {path.name: path.read_bytes() for path in sweep.iterdir() if path.is_file()} == before
    assert before.keys() == {"sweep.csv", "success_rate_by_alpha.png"}


def test_runs_that_have_not_ended_or_never_began_are_named(tmp_path, write_run, caplog):
    write_run("done", settings(0.1), **entries())
    (write_run("going_on", settings(0.2), **entries()) / "summary.json").unlink()
    (write_run("no_config", settings(0.2), **entries()) / "config.yaml").unlink()
    (tmp_path / "not_a_run").mkdir()
    with caplog.at_level(logging.WARNING, "fl_backdoor"):
        collect(tmp_path)
    assert [row["run"] for row in rows_of(tmp_path)] == ["done"]
    warnings = "\n".join(record.getMessage() for record in caplog.records)
    assert all(f"{name} left out" in warnings for name in ("going_on", "no_config"))
    assert len(caplog.records) == 2


@pytest.mark.parametrize("summary", ["[]", "3", "{}", '{"status": "finished"}', "null"])
def test_a_summary_of_something_else_is_left_out(tmp_path, write_run, summary, caplog):
    (write_run("odd", settings(0.1), **entries()) / "summary.json").write_text(summary)
    collect(tmp_path)
    assert "odd left out" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["odd"], "there is nothing to tell yet"


def test_nested_runs_count(tmp_path, write_run):
    write_run("group/a", settings(0.1), **entries())
    write_run("group/a/clean", settings(0.0), **entries(attacks=False))
    collect(tmp_path)
    assert [row["run"] for row in rows_of(tmp_path)] == ["group/a/clean", "group/a"]


def test_clean_figures_come_from_the_same_seed_strategy_and_trigger_only(tmp_path, write_run):
    other_target = settings(0.1)
    other_target["attack"]["target_label"] = 6
    write_run("clean", settings(0.0), **entries(attacks=False, success_rate=0.1))
    write_run("match", settings(0.1), **entries())
    write_run("known", settings(0.2), **entries(clean_success_rate=0.07))
    write_run("seed", settings(0.1, seed=2), **entries(seed=2))
    write_run("model", settings(0.1, model={"width": 64}), **entries())
    write_run("target", other_target, **entries())
    write_run("short", settings(0.1), **entries(rounds_finished=3))
    write_run("seed3", settings(0.1, seed=3), **entries(seed=3))
    write_run(
        "stopped", settings(0.0, seed=3), **entries(seed=3, attacks=False, success_rate=0.2, status="stopped")
    )
    collect(tmp_path)
    found = {row["run"]: row["clean_success_rate"] for row in rows_of(tmp_path)}
    with_baseline = {"clean": "0.1", "match": "0.1", "known": "0.07"}
    assert found == dict.fromkeys(found, "") | with_baseline
    assert len(found) == 9


def test_rows_are_sorted_by_size_not_by_text(tmp_path, write_run):
    for name, alpha in (("a", 0.3), ("b", 0.052), ("c", 1e-05)):
        for seed in (10, 9):
            write_run(f"{name}{seed}", settings(alpha, seed=seed), **entries(seed=seed))
    collect(tmp_path)
    assert [row["run"] for row in rows_of(tmp_path)] == ["c9", "c10", "b9", "b10", "a9", "a10"]


def test_settings_by_dotted_key():
    nested = {"a": {"b": {"c": 1}, "d": None}, "e": [1, "x"], "f": "text", "g": {}}
    assert flatten(nested) == {"a.b.c": 1, "a.d": None, "e": '[1, "x"]', "f": "text"}


def test_settings_that_differ_without_those_that_have_a_column_anyway():
    one = {
        "attack.alpha": 0.1,
        "seed": 1,
        "strategy._target_": "a",
        "strategy.k": 1.5,
        "same": 1,
        "flag": True,
    }
    other = {"attack.alpha": 0.2, "seed": 2, "strategy._target_": "b", "same": 1, "flag": 1}
    assert differing_settings([one, other]) == ("strategy.k", "flag")


def test_points_are_mean_and_range_over_seeds():
    rows = [
        {"attack.alpha": 0.1, "success_rate": 0.5},
        {"attack.alpha": 0.0, "success_rate": 0.125},
        {"attack.alpha": 0.1, "success_rate": 0.75},
        {"attack.alpha": 0.1, "success_rate": 1.0},
        {"attack.alpha": 0.2, "success_rate": None},
    ]
    assert points(rows, "success_rate") == [Point(0.0, 0.125, 0.125, 0.125), Point(0.1, 0.75, 0.5, 1.0)]


def test_lines_are_labelled_with_what_differs_within_a_strategy():
    rows = [
        {"strategy": "FedAvg", "strategy.k": None},
        {"strategy": "Hybrid", "strategy.k": 0.3},
        {"strategy": "Hybrid", "strategy.k": 1.5},
    ]
    groups, pooled = group(rows, ["strategy.k"])
    assert groups == {
        "FedAvg": rows[:1],
        "Hybrid, strategy.k=0.3": rows[1:2],
        "Hybrid, strategy.k=1.5": rows[2:],
    }
    assert pooled == ()


def test_too_many_lines_are_pooled_and_it_is_said():
    rows = [{"strategy": "Hybrid", "strategy.k": k, "same": 1} for k in range(8)]
    assert group(rows, ["strategy.k", "same"]) == ({"Hybrid": rows}, ("strategy.k",))


def test_many_strategies_are_drawn_all(tmp_path, write_run):
    for number in range(10):
        write_run(f"{number}", settings(0.1), **(entries() | {"strategy": f"s{number}", "success_rate": 0.5}))
    collect(tmp_path)
    assert len(rows_of(tmp_path)) == 10
    assert Image.open(tmp_path / "success_rate_by_alpha.png").size == (1200, 640)


def test_only_finished_runs_are_drawn(tmp_path, write_run):
    def blue_pixels():
        collect(tmp_path)
        picture = np.asarray(Image.open(tmp_path / "success_rate_by_alpha.png").convert("RGB"))
        return int((picture == [0x00, 0x72, 0xB2]).all(axis=-1).sum())

    write_run("a", settings(0.1), **entries(success_rate=0.5))
    one = blue_pixels()
    write_run("b", settings(0.3), **entries(success_rate=0.9, status="stopped"))
    assert blue_pixels() == one
    write_run("c", settings(0.3), **entries(success_rate=0.9))
    assert blue_pixels() > one + 300
