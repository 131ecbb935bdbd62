"""Hydra's Optuna sweeper on real runs."""

import yaml

from fl_backdoor.analysis.objective import objective
from tests.runner.test_main import SMALL, run, table


def test_the_search_for_alpha_tries_whole_samples_and_tells_the_best(tmp_path):
    tiny = ["num_rounds=1", "clean_baseline=known", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=found"]
    search = ["-m", "experiment=alpha_search", *SMALL, *tiny]
    shown = run(tmp_path, *search)
    assert shown.returncode == 0, shown.stdout
    rows = table(tmp_path / "found" / "sweep.csv")
    stamped = [32 * float(row["attack.alpha"]) for row in rows]
    assert all(count == int(count) and 1 <= count <= 16 for count in stamped)
    assert {row["strategy"] for row in rows} == {"Hybrid"}
    values = {
        row["run"]: objective(tmp_path / "found" / row["run"], "attack_success_rate", 0.2) for row in rows
    }
    best = max(values, key=values.__getitem__)
    results = yaml.safe_load((tmp_path / "found" / "optimization_results.yaml").read_text())
    assert results["best_value"] == values[best]
    assert [row["attack.alpha"] for row in rows if row["run"] == best] == [
        str(results["best_params"]["attack.alpha"])
    ]
    last = shown.stdout.splitlines()[-1]
    assert last.startswith("best of 2: ")
    assert last.endswith(best)
    again = run(tmp_path, *search)
    assert again.stdout.count("finished already") == 2, "the same seed tries the same values"
