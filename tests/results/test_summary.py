import json
import math
from datetime import UTC, datetime

import pytest

from fl_backdoor.results.summary import best_figures, detection_totals, final_figures, summarize


@pytest.fixture
def rounds(round_row):
    """Round 0, then two rounds that were scored and one that was not."""
    return [
        round_row(server_round=0, main_task_accuracy=0.10, attack_success_rate=0.9, success_rate=0.2),
        round_row(
            server_round=1,
            main_task_accuracy=0.55,
            attack_success_rate=0.1,
            success_rate=0.5,
            true_positives=1,
            false_positives=2,
        ),
        round_row(server_round=2, main_task_accuracy=0.55, true_positives=2, false_positives=0),
        round_row(
            server_round=3,
            main_task_accuracy=0.5,
            test_loss=math.inf,
            attack_success_rate=0.3,
            success_rate=0.5,
            clean_success_rate=0.1,
        ),
    ]


def clients_of(client_row, server_round, attacking, rejected=()):
    return [
        client_row(
            server_round=server_round,
            client_id=client_id,
            malicious=client_id < 3,
            attacking=client_id in attacking,
            rejected="late" if client_id in rejected else None,
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
    }


def test_best_figures_name_the_first_round_that_reached_them(rounds):
    assert best_figures(rounds) == {
        "main_task_accuracy": {"value": 0.55, "server_round": 1},
        "attack_success_rate": {"value": 0.9, "server_round": 0},
        "success_rate": {"value": 0.5, "server_round": 1},
    }


def test_best_of_nothing_is_unknown():
    assert best_figures([]) == dict.fromkeys(["main_task_accuracy", "attack_success_rate", "success_rate"])


def test_detection_over_all_rounds_by_hand(rounds, client_row):
    # Round 1: 0, 1, 2 attack, 2 is rejected: 2 attackers and 2 others are judged.
    # Round 2: 0, 1 attack, the malicious client 2 does not: 2 attackers and 3 others.
    # Round 3 was not scored.
    clients = [
        *clients_of(client_row, 1, attacking=(0, 1, 2), rejected=(2,)),
        *clients_of(client_row, 2, attacking=(0, 1)),
        *clients_of(client_row, 3, attacking=(0, 1, 2)),
    ]
    assert detection_totals(rounds, clients) == {
        "true_positives": 3,
        "false_positives": 2,
        "true_positive_rate": 3 / 4,
        "false_positive_rate": 2 / 5,
    }


def test_detection_without_attackers_has_no_true_positive_rate(rounds, client_row):
    totals = detection_totals(rounds[:2], clients_of(client_row, 1, attacking=()))
    assert totals["true_positive_rate"] is None
    assert totals["false_positive_rate"] == 2 / 5


def test_detection_that_was_never_scored_is_unknown(rounds):
    assert set(detection_totals(rounds[:1], []).values()) == {None}


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
    told = {
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
    assert {name: summary[name] for name in told} == told
    assert summary["hardware"]["gpus"] == ["Some GPU"]
