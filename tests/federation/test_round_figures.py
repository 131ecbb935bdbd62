"""What rows of a real run say of classes, clients and seconds, and who takes part; all in this process."""

import threading

import numpy as np
import pytest

from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.server_app import Experiment
from tests.golden.in_process import InProcessGrid, configured


@pytest.fixture(scope="module")
def run():
    experiment, rounds = (
        Experiment(
            configured(
                *("partition=dirichlet", "partition.num_clients=6", "clients_per_round=3", "num_rounds=3"),
                *("selection=fixed_attackers", "selection.every=2", "attack.num_malicious=2"),
                *("attack.alpha=0.5", "client.local_steps=4", "client.learning_rate=0.2"),
                *("lr_schedule=exponential", "lr_schedule.gamma=0.5"),
            )
        ),
        [],
    )
    experiment.run(StoppableGrid(InProcessGrid(), threading.Event(), 0), rounds.append)
    return experiment, rounds


def test_exactly_one_attacker_is_asked_in_one_of_two_rounds(run):
    _, rounds = run
    asked = [[client["malicious"] for client in found.clients] for found in rounds]
    assert [(len(one), sum(one)) for one in asked] == [(0, 0), (3, 1), (3, 0), (3, 1)]
    assert [found.row.get("num_malicious") for found in rounds] == [None, 1, 0, 1]


def test_classes_and_clients_go_with_the_accuracy_of_the_whole_test_set(run):
    experiment, rounds = run
    labels = experiment.context.data.test.labels
    shares = np.bincount(labels, minlength=10) / len(labels)
    counts = np.stack(
        [
            np.bincount(experiment.context.data.train.labels[rows], minlength=10)
            for rows in experiment.context.partition
        ]
    )
    for found in rounds:
        assert found.class_accuracy @ shares == pytest.approx(found.row["main_task_accuracy"])
        clients = sorted((counts / counts.sum(axis=1, keepdims=True)) @ found.class_accuracy)
        assert found.row["mean_client_accuracy"] == pytest.approx(np.mean(clients))
        assert found.row["worst_tenth_client_accuracy"] == pytest.approx(clients[0])
        assert found.row["robust_accuracy"] + found.row["attack_success_rate"] <= 1 + 1e-12


def test_processor_time_is_measured_around_each_client(run):
    _, rounds = run
    assert all(client["cpu_seconds"] > 0 for found in rounds for client in found.clients)


def test_the_learning_rate_of_each_round_follows_the_schedule(run):
    _, rounds = run
    assert [found.row.get("learning_rate") for found in rounds] == [None, 0.2, 0.1, 0.05]
