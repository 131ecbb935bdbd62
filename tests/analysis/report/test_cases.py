"""What is compared with what, and under which names."""

import pytest

from fl_backdoor.analysis.report.cases import compare, varying_keys, words
from fl_backdoor.runs.runs import find
from tests.analysis.report.made_runs import settings, write_run, write_sweep


def test_settings_and_their_names(tmp_path):
    [comparison] = compare(find([write_sweep(tmp_path / "sweep")]))
    assert [(case.defence, case.scenario, len(case.runs)) for case in comparison.cases] == [
        ("FedAvg", "no attack", 3),
        ("FedAvg", "α = 0.1", 3),
        ("FedAvg", "α = 0.3", 3),
        ("Hybrid", "no attack", 3),
        ("Hybrid", "α = 0.1", 3),
        ("Hybrid", "α = 0.3", 4),
    ]
    assert comparison.scenarios == ("no attack", "α = 0.1", "α = 0.3")


def test_two_data_sets_are_never_averaged(tmp_path):
    write_run(tmp_path / "a", figures=(0.6, 0.9, 0.9))
    write_run(tmp_path / "b", figures=(0.2, 0.1, 0.1), seed=1, dataset="MNIST-5k")
    comparisons = compare(find([tmp_path]))
    assert [(c.dataset, [case.mean("main_task_accuracy") for case in c.cases]) for c in comparisons] == [
        ("CIFAR-10", [0.6]),
        ("MNIST-5k", [0.2]),
    ]


def test_a_seed_that_ran_twice_counts_once(tmp_path):
    for name, accuracy in (("a", 0.5), ("b", 0.5), ("c", 0.5)):
        write_run(tmp_path / name, figures=(accuracy, 0.9, 0.9))
    write_run(tmp_path / "d", seed=1, figures=(0.7, 0.9, 0.9))
    [case] = compare(find([tmp_path]))[0].cases
    assert case.mean("main_task_accuracy") == pytest.approx(0.6)
    assert len(case.runs) == 4


def test_runs_whose_settings_cannot_be_read_stay_apart(tmp_path):
    for seed in (0, 1):
        (write_run(tmp_path / f"{seed}", seed=seed) / "config.yaml").write_text("{")
    [comparison] = compare(find([tmp_path]))
    assert [len(case.runs) for case in comparison.cases] == [1, 1]


def test_settings_that_only_follow_from_a_plug_in_name_nothing(tmp_path):
    flat = [
        {"strategy": "FedAvg", "attack.alpha": 0.1},
        {"strategy": "Hybrid", "attack.alpha": 0.1, "strategy.k": 0.3, "strategy.gamma": 1.0},
        {"strategy": "Hybrid", "attack.alpha": 0.1, "strategy.k": 1.5, "strategy.gamma": 1.0},
    ]
    assert varying_keys(flat) == ("strategy", "strategy.k")


def test_what_differs_beside_the_attack_keeps_its_name(tmp_path):
    write_run(tmp_path / "a", precision="fp32")
    write_run(tmp_path / "b", precision="bf16")
    boosted = settings("Hybrid", 0.1, 0)["attack"] | {"boost_factor": 10.0, "num_malicious": 2}
    write_run(tmp_path / "c", precision="bf16", attack=boosted)
    [comparison] = compare(find([tmp_path]))
    assert [case.scenario for case in comparison.cases] == [
        "α = 0.1, updates × 1, 1 attacker, precision = bf16",
        "α = 0.1, updates × 10, 2 attackers, precision = bf16",
        "α = 0.1, updates × 1, 1 attacker, precision = fp32",
    ]


def test_a_small_alpha_that_stamps_nothing_says_so(tmp_path):
    write_run(tmp_path / "a", alpha=0.02, entries={"attacks": False})
    [case] = compare(find([tmp_path]))[0].cases
    assert case.scenario == "α = 0.02, which stamps nothing"


def test_settings_in_words():
    assert words("attack.num_malicious", 1) == "1 attacker"
    assert words("attack.boost_factor", 10.0) == "updates × 10"
    assert words("strategy.iqr_k", 0.3) == "iqr_k = 0.3"
    assert words("attack.trigger._target_", "a.b.Bar") == "trigger = Bar"
    assert words("partition.num_clients", 10) == "partition.num_clients = 10"
    assert words("client.local_steps", None) == "client.local_steps = null"
