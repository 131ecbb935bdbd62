import itertools
import json
import math
import statistics

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fl_backdoor.analysis.seeds import by_setting, differing_keys, spread
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import write_run


def enumerated_interval(values):
    """Percentile interval from the means of all n**n resamples: where 2.5 % of them lie on each side."""
    means = sorted(statistics.fmean(chosen) for chosen in itertools.product(values, repeat=len(values)))
    return means[math.floor(0.025 * len(means))], means[math.ceil(0.975 * len(means)) - 1]


def test_by_hand():
    found = spread([0.1, 0.4, 0.7])
    assert found.mean == pytest.approx(0.4)
    assert found.std == pytest.approx(0.3), "0.09 + 0 + 0.09 over n - 1 = 2"
    assert (found.low, found.high) == pytest.approx((0.1, 0.7))


@pytest.mark.parametrize("values", [(0.1, 0.4, 0.7), (0.9, 0.2, 0.25), (1.0, 1.0, 4.0)])
def test_with_three_seeds_the_interval_is_that_of_all_resamples(values):
    # Each end is hit by 1 resample in 27, 3.7 %, so that 2.5 % always lie on it.
    found = spread(values)
    assert (found.low, found.high) == pytest.approx(enumerated_interval(values))


def test_with_five_seeds_the_interval_is_near_that_of_all_resamples():
    values = (0.0, 0.1, 0.35, 0.6, 1.0)
    found = spread(values)
    assert (found.low, found.high) == pytest.approx(enumerated_interval(values), abs=0.021)
    assert found.high - found.low < 1.0, "it is narrower than from the lowest to the highest"


def test_one_seed_has_no_spread():
    found = spread([0.5])
    assert (found.values, found.mean, found.std, found.low, found.high) == ((0.5,), 0.5, None, None, None)


def test_equal_seeds():
    found = spread([0.25, 0.25, 0.25])
    assert (found.mean, found.std, found.low, found.high) == (0.25, 0.0, 0.25, 0.25)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=4))
@example([0.6383982171523995, 0.6383982171523995])
def test_the_interval_lies_among_the_values_and_holds_still(values):
    found = spread(values)
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12
    assert found == spread(values)


def test_runs_that_differ_in_their_seed_alone_are_one_setting(tmp_path):
    for name, alpha, seed, accuracy in (
        ("a", 0.3, 10, 0.5),
        ("b", 0.1, 2, 0.6),
        ("c", 0.3, 9, 0.7),
        ("d", 0.1, 1, 0.8),
    ):
        write_run(tmp_path / name, "Krum", alpha, seed, figures=(accuracy, 0.0, 0.0))
    strong, weak = by_setting(find([tmp_path]))
    assert (strong.differing, weak.differing) == ({"attack.alpha": 0.3}, {"attack.alpha": 0.1})
    assert [run.seed for run in strong.runs] == [9, 10], "by size, not by text"
    assert strong.values("main_task_accuracy") == (0.7, 0.5)
    assert weak.values("main_task_accuracy") == (0.8, 0.6)
    assert strong.spread("test_loss") is None


def test_where_a_run_goes_on_does_not_tell_settings_apart(tmp_path):
    write_run(tmp_path / "a", seed=0, outputs="here", engine={"num_workers": 2})
    write_run(tmp_path / "b", seed=1, outputs="there", engine={"num_workers": 4})
    [setting] = by_setting(find([tmp_path]))
    assert setting.differing == {}


def test_attackers_that_are_left_out_by_name_are_named_by_the_seed(tmp_path):
    for seed, attackers, named in ((0, [1, 3], "[1, 3]"), (1, [0, 2], "[0, 2]"), (2, [0, 1], "[2, 3]")):
        folder = write_run(tmp_path / str(seed), "Yardstick", seed=seed)
        config, summary = (folder / name for name in ("config.yaml", "summary.json"))
        entries = yaml.safe_load(config.read_text())
        entries["strategy"]["client_ids"] = yaml.safe_load(named)
        config.write_text(yaml.safe_dump(entries))
        summary.write_text(json.dumps(json.loads(summary.read_text()) | {"malicious_client_ids": attackers}))
    by_name, wrong = by_setting(find([tmp_path]))
    assert [run.seed for run in by_name.runs] == [0, 1]
    assert by_name.differing == {"strategy.client_ids": "the attackers"}
    assert wrong.differing == {"strategy.client_ids": "[2, 3]"}


def test_fallback_data_are_another_setting(tmp_path):
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, dataset="mnist5k")
    assert [one.differing for one in by_setting(find([tmp_path]))] == [
        {"dataset": "CIFAR-10"},
        {"dataset": "mnist5k"},
    ]


def test_a_seed_that_ran_twice_counts_once_and_unfinished_ones_do_not(tmp_path):
    write_run(tmp_path / "a", seed=0, figures=(0.5, 0.0, 0.0))
    write_run(tmp_path / "b", seed=0, figures=(0.5, 0.0, 0.0))
    write_run(tmp_path / "c", seed=1, figures=(0.7, 0.0, 0.0))
    write_run(tmp_path / "d", seed=2, figures=(0.9, 0.0, 0.0), status="stopped")
    [setting] = by_setting(find([tmp_path]))
    assert setting.values("main_task_accuracy") == (0.5, 0.7)
    assert len(setting.runs) == 4


def test_runs_whose_settings_are_unknown_stand_alone(tmp_path):
    for name in ("a", "b"):
        (write_run(tmp_path / name) / "config.yaml").unlink()
    assert len(by_setting(find([tmp_path]))) == 2


def test_one_and_true_are_not_the_same():
    assert differing_keys([{"a": 1, "b": 2}, {"a": True, "b": 2, "c": None}]) == ("a",)
