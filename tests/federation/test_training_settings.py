"""What is set for clients' training is what server and clients of a run go by, in a run without processes."""

import threading

import pytest
import torch

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import experiment_key
from tests.golden.in_process import InProcessGrid, configured


def rounds_of(*settings):
    """Make a run of four clients, and return each round's rows, by client."""
    finished = []
    told = configured("partition.num_clients=4", "attack.num_malicious=1", *settings)
    threads = torch.get_num_threads()
    try:
        Experiment(told).run(StoppableGrid(InProcessGrid(), threading.Event(), 0), finished.append)
    finally:
        torch.set_num_threads(threads)
    return [{row["client_id"]: row for row in one.clients} for one in finished[1:]]


def without_seconds(rows):
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows.values()]


def test_clients_train_at_the_rate_of_the_round_and_the_server_reads_gradients_by_it():
    risen = ("lr_schedule.warmup_rounds=2", "lr_schedule.warmup_start=0.5", "strategy=clip_avg")
    first, second = rounds_of(*risen)
    [slow] = rounds_of("num_rounds=1", "client.learning_rate=0.025", "strategy=clip_avg")
    assert without_seconds(first) == without_seconds(slow)
    for rows, rate in ((first, 0.025), (second, 0.05)):
        for row in rows.values():
            assert row["gradient_norm"] == pytest.approx(row["update_norm"] / (rate * row["num_steps"]))


ADDED = ("optimizer", "nesterov", "beta1", "beta2", "eps", "max_grad_norm", "label_smoothing", "proximal_mu")


def test_settings_that_were_added_later_change_no_name_unless_they_are_used():
    whole = configured().to_dict()
    older = {key: value for key, value in whole["client"].items() if key not in ADDED}
    assert experiment_key(whole) == experiment_key({**whole, "client": older})
    used = [{"optimizer": "adamw"}, {"nesterov": True}, {"max_grad_norm": 1.0}]
    used += [{"label_smoothing": 0.1}, {"proximal_mu": 0.1}]
    keys = [experiment_key({**whole, "client": whole["client"] | one}) for one in used]
    assert len({*keys, experiment_key(whole)}) == 6


def test_under_adam_nobody_reads_gradients():
    adam = ("client=adam", "num_rounds=1")
    rows = rounds_of(*adam)[0]
    assert [row["gradient_norm"] for row in rows.values()] == [None] * 4
    assert all(row["update_norm"] > 0 for row in rows.values())


@pytest.mark.parametrize("told", [["strategy=clip_avg"], ["strategy=chain", "strategy.steps=[nnm,hybrid]"]])
def test_a_rule_that_judges_gradients_is_refused_under_adam(told):
    told = parse_whole(next(composed(["dataset=mnist5k", "client=adamw", *told])))[0]
    with pytest.raises(ConfigError) as error:
        check(told)
    name = "ClipAvg" if "steps" not in told.strategy else "chain(nnm>hybrid)"
    assert str(error.value) == (
        f"client.optimizer = adamw: {name} judges average gradients, Δ / (-lr·T), which updates do not show "
        "then: take sgd"
    )


@pytest.mark.parametrize(
    "told", [["client.nesterov=true"], ["client.max_grad_norm=1"], ["client.proximal_mu=1"]]
)
def test_under_sgd_average_gradients_keep_their_meaning(told):
    rows = rounds_of("num_rounds=1", "strategy=clip_avg", *told)[0]
    for row in rows.values():
        assert row["gradient_norm"] == pytest.approx(row["update_norm"] / (0.05 * 2))
