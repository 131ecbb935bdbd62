"""Replies of strangers that cannot be used, in a Flower app: each costs its client its place alone."""

import math

import numpy as np
import pytest
from flwr.app import MetricRecord, RecordDict

from fl_backdoor.core.errors import ConfigError
from strategies import FedAvg
from tests.strategies.flower_app import InProcess, error, model, record, run
from tests.strategies.test_flower_app import scalar


def spoiled_arrays(**changes):
    def spoil(message, reply):
        arrays = {name: array.numpy() for name, array in reply.content["arrays"].items()} | changes
        arrays = {name: array for name, array in arrays.items() if array is not None}
        reply.content["arrays"] = record(arrays)
        return reply

    return spoil


def spoiled_metrics(**changes):
    def spoil(message, reply):
        names = {name.replace("_", "-"): value for name, value in changes.items()}
        kept = {n: v for n, v in (dict(reply.content["metrics"]) | names).items() if v is not None}
        reply.content["metrics"] = MetricRecord(kept)
        return reply

    return spoil


def another_record(message, reply):
    reply.content["more"] = record(model())
    return reply


def no_metrics(message, reply):
    return type(reply)(RecordDict({"arrays": reply.content["arrays"]}), reply_to=message)


BAD = {
    "silence": (lambda message, reply: None, "no reply in time"),
    "an error": (error, "its node failed: the ClientApp raised"),
    "NaN": (spoiled_arrays(bias=np.float32([np.nan])), "bias holds NaN, Inf or numbers beyond 1e+30"),
    "huge": (spoiled_arrays(bias=np.float64([1e300])), "bias holds NaN, Inf or numbers beyond 1e+30"),
    "shape": (spoiled_arrays(bias=np.zeros(2, np.float32)), "bias has shape (2,), not (1,)"),
    "integers": (spoiled_arrays(bias=np.array([1])), "bias has dtype int64, not float32"),
    "text": (spoiled_arrays(bias=np.array(["a"])), "bias has dtype <U1, not float32"),
    "missing": (spoiled_arrays(bias=None), "bias is missing"),
    "another": (spoiled_arrays(head=np.zeros(1)), "head is not asked for"),
    "a counter that went back": (
        spoiled_arrays(**{"norm.num_batches_tracked": np.array(-3)}),
        "norm.num_batches_tracked is negative, or less than it was sent as",
    ),
    "two models": (another_record, "the reply has 2 of ArrayRecord, not one"),
    "no metrics": (no_metrics, "the reply has 0 of MetricRecord, not one"),
    "no examples": (spoiled_metrics(num_examples=0), "num-examples = 0 must be one number over 0"),
    "NaN examples": (spoiled_metrics(num_examples=math.nan), "num-examples = nan must be one number over 0"),
    "a list": (spoiled_metrics(num_examples=[1, 2]), "num-examples = [1, 2] must be one number over 0"),
    "no weight": (spoiled_metrics(num_examples=None), "the reply lacks num-examples"),
    "NaN loss": (spoiled_metrics(loss=math.nan), "loss must be finite"),
    "no step": (spoiled_metrics(num_steps=0), "num-steps = 0 must be one number from 1 to 3"),
    "a step too many": (spoiled_metrics(num_steps=4), "num-steps = 4 must be one number from 1 to 3"),
    "no rate": (spoiled_metrics(learning_rate=-1.0), "learning-rate = -1.0 must be one number over 0"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_reply_costs_that_client_its_place_alone(spoil, reason, caplog):
    strategy = FedAvg(num_steps=3)
    grid = InProcess([1.0, 50.0, 3.0], lambda place: {"loss": 2.0}, {1: spoil})
    result = strategy.start(grid, record(model()), 1)
    assert strategy.outcome.rejected == {1: reason}
    assert f"client 1 loses its place in the round: {reason}" in caplog.text
    assert strategy.outcome.updates.client_ids.tolist() == [0, 2]
    np.testing.assert_array_equal(result.arrays["bias"].numpy(), [2.0])
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(2.0)


def test_metrics_of_another_kind_are_left_out_of_the_mean_alone():
    strategy = FedAvg()
    spoil = spoiled_metrics(loss=[1.0, 2.0], surprise=5)
    grid = InProcess([1.0, 2.0, 3.0], lambda place: {"loss": 2.0}, {0: spoil})
    result = strategy.start(grid, record(model()), 1)
    assert strategy.outcome.rejected == {}
    assert result.arrays["bias"].numpy() == [2.0]
    assert result.train_metrics_clientapp[1] == {"loss": pytest.approx(2.0)}


@pytest.mark.parametrize(
    "content", [RecordDict(), RecordDict({"metrics": MetricRecord({"num-examples": 0})})]
)
def test_a_bad_evaluation_is_left_out(content, caplog):
    class Spoilt(InProcess):
        def send_and_receive(self, messages, *, timeout=None):
            replies = list(super().send_and_receive(messages))
            if messages and messages[0].metadata.message_type == "evaluate":
                replies[0] = type(replies[0])(content, reply_to=messages[-1])
            return replies

    result = FedAvg().start(Spoilt([1.0] * 4), record(model()), 1)
    assert len(result.evaluate_metrics_clientapp[1]) == 1
    assert "cannot be used" in caplog.text


def test_another_model_is_refused():
    strategy = FedAvg()
    run(strategy, InProcess([1.0, 1.0]))
    with pytest.raises(ConfigError, match="must be those that the strategy was started with"):
        run(strategy, InProcess([1.0, 1.0]), scalar())
