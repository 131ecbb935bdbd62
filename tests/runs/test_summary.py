import json
import math
from datetime import UTC, datetime

import pytest

from fl_backdoor.runs.summary import best_figures, detection_totals, final_figures, summarize


@pytest.fixture
def rounds(round_row):
    """Four rounds, of which some figures are unknown."""
    return [
        round_row(server_round=0, main_task_accuracy=0.10, attack_success_rate=0.9, success_rate=0.2),
        round_row(
            server_round=1,
            main_task_accuracy=0.55,
            attack_success_rate=0.1,
            success_rate=0.5,
        ),
        round_row(server_round=2, main_task_accuracy=0.55),
        round_row(
            server_round=3,
            main_task_accuracy=0.5,
            test_loss=math.inf,
            attack_success_rate=0.3,
            success_rate=0.5,
            clean_success_rate=0.1,
            robust_accuracy=0.25,
        ),
    ]


def clients_of(client_row, server_round, attacking, flagged, rejected=()):
    return [
        client_row(
            server_round=server_round,
            client_id=client_id,
            malicious=client_id < 3,
            attacking=client_id in attacking,
            rejected="late" if client_id in rejected else None,
            flagged=None if flagged is None or client_id in rejected else client_id in flagged,
        )
        for client_id in range(5)
    ]


def test_final_figures_are_those_of_the_last_round_and_null_where_unknown(rounds):
    assert final_figures(rounds) == {
        "main_task_accuracy": 0.5,
        "attack_success_rate": 0.3,
        "success_rate": 0.5,
        "test_loss": None,
        "clean_main_task_accuracy": None,
        "clean_attack_success_rate": None,
        "clean_success_rate": 0.1,
        "robust_accuracy": 0.25,
        "mean_client_accuracy": None,
        "worst_tenth_client_accuracy": None,
    }


def test_best_figures_name_the_first_round_that_reached_them(rounds):
    assert best_figures(rounds) == {
        "main_task_accuracy": {"value": 0.55, "server_round": 1},
        "attack_success_rate": {"value": 0.9, "server_round": 0},
        "success_rate": {"value": 0.5, "server_round": 1},
    }


def test_best_of_nothing_is_unknown():
    assert best_figures([]) == dict.fromkeys(["main_task_accuracy", "attack_success_rate", "success_rate"])


def test_detection_over_client_rounds_and_over_clients_by_hand(client_row):
    # Clients 0 to 2 are malicious, 3 and 4 benign. Round 1: 0, 1, 2 attack, 2 is rejected; 0, 3 are flagged.
    # Round 2: 0 and 1 attack, 2 does not; 0, 2 and 3 are flagged. Round 3 was not judged.
    clients = [
        *clients_of(client_row, 1, attacking=(0, 1, 2), flagged=(0, 3), rejected=(2,)),
        *clients_of(client_row, 2, attacking=(0, 1), flagged=(0, 2, 3)),
        *clients_of(client_row, 3, attacking=(0, 1, 2), flagged=None),
    ]
    assert detection_totals(clients, attacks=True) == {
        # Client-rounds: 0 of 0 1 0 1 twice; client 2 in round 2 counts in neither; 3 of 3 4 3 4 twice.
        "true_positives": 2,
        "false_positives": 2,
        "true_positive_rate": 2 / 4,
        "false_positive_rate": 2 / 4,
        # Clients: 0 and 2 of three, 3 of two.
        "client_true_positives": 2,
        "client_false_positives": 1,
        "client_true_positive_rate": 2 / 3,
        "client_false_positive_rate": 1 / 2,
    }


def test_where_nobody_attacks_everybody_is_benign(client_row):
    totals = detection_totals(clients_of(client_row, 1, attacking=(), flagged=(1, 4)), attacks=False)
    assert (totals["true_positive_rate"], totals["client_true_positive_rate"]) == (None, None)
    assert (totals["false_positive_rate"], totals["client_false_positive_rate"]) == (2 / 5, 2 / 5)


def test_detection_where_nobody_was_judged_is_unknown():
    assert set(detection_totals([], attacks=True).values()) == {None}


def test_a_diverged_model_has_no_final_figures_and_is_never_the_best(round_row):
    rounds = [
        round_row(server_round=0, main_task_accuracy=0.1, attack_success_rate=0.0, success_rate=0.1),
        round_row(
            server_round=1,
            main_task_accuracy=0.5,
            attack_success_rate=1.0,
            success_rate=1.0,
            diverged="9 of 20 predictions are not finite",
        ),
    ]
    assert set(final_figures(rounds).values()) == {None}
    assert best_figures(rounds)["attack_success_rate"] == {"value": 0.0, "server_round": 0}


def test_how_the_backdoor_went_and_what_it_cost_stand_in_the_summary(rounds, facts, client_row):
    clients = [
        client_row(server_round=3, malicious=True, attacking=True, train_seconds=3.0, cpu_seconds=5.0),
        client_row(server_round=3, malicious=False, attacking=False, train_seconds=2.0, cpu_seconds=4.0),
    ]
    known = summarize(
        *("finished", facts),
        rounds=rounds,
        clients=clients,
        notices=[],
        started_at=datetime(2025, 1, 2, tzinfo=UTC),
        wall_seconds=1.0,
    )
    assert known["peak_attack_success_rate"] == known["late_attack_success_rate"] == 0.3
    assert known["rounds_to_open"] is None
    assert (known["attacking_wall_seconds"], known["benign_wall_seconds"]) == (3.0, 2.0)
    assert (known["attacking_cpu_seconds"], known["benign_cpu_seconds"]) == (5.0, 4.0)


def test_the_whole_summary(rounds, facts):
    summary = summarize(
        "stopped",
        facts,
        rounds=rounds,
        clients=[],
        notices=["look"],
        started_at=datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        wall_seconds=12.5,
    )
    json.dumps(summary, allow_nan=False)
    entries = {
        "status": "stopped",
        "seed": 7,
        "dataset": "CIFAR-10",
        "dataset_fallback": None,
        "strategy": "Hybrid",
        "alpha": 0.052,
        "num_malicious": 2,
        "boost_factor": 1.0,
        "attacks": True,
        "num_rounds": 3,
        "rounds_finished": 3,
        "malicious_client_ids": [1, 4],
        "notices": ["look"],
        "started_at": "2025-01-02T03:04:05+00:00",
        "wall_seconds": 12.5,
        "command": "python -m fl_backdoor.main seed=7",
        "success_rate": 0.5,
    }
    assert {name: summary[name] for name in entries} == entries
    assert summary["hardware"]["gpus"] == ["Some GPU"]
