"""What comes back from nodes is checked with Flower's own messages."""

import io
import logging
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, MetricRecord

from fl_backdoor.core.errors import NobodyAnswers
from strategies.rules.fedavg import FedAvg

HOSTILE = 1  # the client that misbehaves, of 4: its node hosts client 3 as well
OTHERS = [0, 2, 3]


def place(array, value):
    changed = array.copy()
    changed.flat[0] = value
    return changed


BAD_ARRAYS = {
    "a tensor too few": (lambda a: a[:-1], "3 tensors instead of 4"),
    "a tensor too many": (lambda a: [*a, a[0]], "5 tensors instead of 4"),
    "nothing": (lambda a: [], "0 tensors instead of 4"),
    "wrong shape": (lambda a: [a[0].ravel(), *a[1:]], r"weight has shape \(4,\), not \(2, 2\)"),
    "wrong shape that broadcasts": (lambda a: [*a[:3], a[3][:0]], r"bias has shape \(0,\), not \(1,\)"),
    "double precision": (lambda a: [a[0].astype(float), *a[1:]], "weight has dtype float64, not float32"),
    "integers": (lambda a: [a[0].astype(int), *a[1:]], "weight has dtype int64, not float32"),
    "other byte order": (lambda a: [a[0].astype(">f4"), *a[1:]], "weight has dtype >f4, not float32"),
    "text": (lambda a: [a[0].astype(str), *a[1:]], "weight has dtype <U32, not float32"),
    "NaN": (lambda a: [place(a[0], np.nan), *a[1:]], "weight holds NaN"),
    "NaN in a buffer": (lambda a: [a[0], place(a[1], np.nan), *a[2:]], "mean holds NaN"),
    "Inf": (lambda a: [*a[:3], place(a[3], np.inf)], "bias holds NaN, Inf"),
    "-Inf": (lambda a: [*a[:3], place(a[3], -np.inf)], "bias holds NaN, Inf"),
    "a number whose difference overflows": (
        lambda a: [place(a[0], -3e38), *a[1:]],
        r"weight holds NaN, Inf or numbers beyond 1e\+30",
    ),
    "a counter that overflows": (
        lambda a: [*a[:2], np.array(2**63 - 1), a[3]],
        r"count holds NaN, Inf or numbers beyond 9e\+15",
    ),
}

BAD_METRICS = {
    "no sample": ({"num_examples": 0}, "num_examples = 0, its partition holds 100"),
    "negative samples": ({"num_examples": -1}, "num_examples = -1, its partition holds 100"),
    "a sample too many": ({"num_examples": 101}, "num_examples = 101, its partition holds 100"),
    "2**63 - 1 samples": ({"num_examples": 2**63 - 1}, "num_examples = 9223372036854775807, its"),
    "2**63 samples": ({"num_examples": 2**63}, "num_examples must be a number of at most 64 bits"),
    "samples of 5,000 digits": ({"num_examples": 10**5000}, "num_examples must be a number of at most 64"),
    "steps of 5,000 digits": ({"num_steps": 10**5000}, "num_steps must be a number of at most 64 bits"),
    "a loss of 5,000 digits": ({"train_loss": 10**5000}, "train_loss must be a number of at most 64 bits"),
    "samples that are no integer": ({"num_examples": 50.0}, "num_examples = 50.0 must be a whole number"),
    "NaN samples": ({"num_examples": math.nan}, "num_examples = nan must be finite"),
    "a list of samples": ({"num_examples": [100]}, "num_examples must be one number"),
    "no step": ({"num_steps": 0}, "num_steps = 0, a round has 10"),
    "negative steps": ({"num_steps": -10}, "num_steps = -10, a round has 10"),
    "a step too many": ({"num_steps": 11}, "num_steps = 11, a round has 10"),
    "half a step": ({"num_steps": 9.5}, "num_steps = 9.5 must be a whole number"),
    "NaN loss": ({"train_loss": math.nan}, "train_loss = nan must be finite"),
    "Inf seconds": ({"train_seconds": math.inf}, "train_seconds = inf must be finite"),
}


@pytest.fixture
def play(make_federation, exchange, make_state, caplog):
    """Play a round of four clients, of whom one does what the test says; the others move by 4 each."""

    def run(misbehave):
        caplog.set_level(logging.WARNING, "fl_backdoor")
        strategy = make_federation(4).build(FedAvg)
        round_one = exchange(strategy, make_state([1] * 5))
        for client_id in OTHERS:
            round_one.says(client_id, make_state([5] * 5, count=3))
        misbehave(round_one)
        return round_one, round_one.finish()

    return run


def assert_costs_that_client_alone(round_one, model, caplog, reason):
    assert round_one.usable == OTHERS
    assert list(round_one.rejected) == [HOSTILE]
    assert re.search(reason, round_one.rejected[HOSTILE])
    (record,) = caplog.records
    assert record.getMessage() == (
        f"client {HOSTILE} loses its place in the round: {round_one.rejected[HOSTILE]}"
    )
    assert "\n" not in record.getMessage()
    outcome = round_one.strategy.outcome
    assert outcome.updates.updates.shape == (3, 5)
    assert np.isfinite(outcome.updates.updates).all()
    np.testing.assert_array_equal(outcome.updates.updates, np.full((3, 5), 4))
    np.testing.assert_array_equal(model[0], np.full((2, 2), 5))
    assert model[2] == 3


def test_a_sound_round(play, make_state):
    round_one, model = play(lambda r: r.says(HOSTILE, make_state([9] * 5, count=3)))
    assert round_one.usable == [0, 1, 2, 3]
    assert round_one.rejected == {}
    np.testing.assert_array_equal(model[0], np.full((2, 2), 1 + (4 + 8 + 4 + 4) / 4))
    assert [array.dtype for array in model] == [np.float32, np.float32, np.int64, np.float32]
    assert [array.shape for array in model] == [(2, 2), (2,), (), (1,)]


@pytest.mark.parametrize(("spoil", "reason"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays(play, make_state, caplog, spoil, reason):
    round_one, model = play(lambda r: r.says(HOSTILE, spoil(make_state([5] * 5))))
    assert_costs_that_client_alone(round_one, model, caplog, reason)


@pytest.mark.parametrize(("metrics", "reason"), BAD_METRICS.values(), ids=BAD_METRICS.keys())
def test_bad_metrics(play, caplog, metrics, reason):
    round_one, model = play(lambda r: r.says(HOSTILE, **metrics))
    assert_costs_that_client_alone(round_one, model, caplog, reason)


@pytest.mark.parametrize("name", ["num_examples", "num_steps", "train_loss", "train_seconds", "cpu_seconds"])
def test_a_metric_is_missing(play, caplog, name):
    round_one, model = play(lambda r: r.content_of(HOSTILE)[f"metrics.{HOSTILE}"].pop(name))
    assert_costs_that_client_alone(round_one, model, caplog, f"the reply lacks {name}")


@pytest.mark.parametrize("part", ["model", "metrics"])
def test_a_part_is_missing_or_of_another_kind(play, caplog, part):
    name = f"{part}.{HOSTILE}"
    round_one, model = play(lambda r: r.content_of(HOSTILE).pop(name))
    assert_costs_that_client_alone(round_one, model, caplog, f"the reply lacks {name}")
    caplog.clear()

    def of_another_kind(r):
        r.content_of(HOSTILE).pop(name)
        r.content_of(HOSTILE)[name] = ConfigRecord({"a": 1})

    round_one, model = play(of_another_kind)
    assert_costs_that_client_alone(round_one, model, caplog, f"the reply lacks {name}")


def garbled(data, stype="numpy.ndarray"):
    return Array("float32", (2, 2), stype, data)


def archive():
    file = io.BytesIO()
    np.savez(file, a=np.zeros((2, 2), np.float32))
    return file.getvalue()


GARBLED = {
    "no bytes": (garbled(b""), "unreadable reply: ValueError: "),
    "noise": (garbled(bytes(range(256))), "unreadable reply: ValueError: the magic string"),
    "a pickle": (garbled(b"\x80\x04N."), "unreadable reply: ValueError: "),
    "an archive": (garbled(archive()), "unreadable reply: ValueError: the magic string"),
    "another serialisation": (garbled(b"abc", "torch.tensor"), "weight is serialised as torch.tensor"),
    "cut off": (garbled(Array(np.zeros((2, 2), np.float32)).data[:-3]), "weight has 13 bytes, not 16"),
}


@pytest.mark.parametrize(("array", "reason"), GARBLED.values(), ids=GARBLED.keys())
def test_unreadable_arrays(play, make_state, caplog, array, reason):
    def garble(r):
        r.says(HOSTILE, make_state([5] * 5))
        r.content_of(HOSTILE)[f"model.{HOSTILE}"]["0"] = array

    round_one, model = play(garble)
    assert_costs_that_client_alone(round_one, model, caplog, f"^{reason}")


def test_the_client_itself_failed(play, caplog):
    def fail(r):
        r.content_of(HOSTILE)[f"failure.{HOSTILE}"] = ConfigRecord({"reason": "out of\n\tmemory"})

    round_one, model = play(fail)
    assert_costs_that_client_alone(round_one, model, caplog, "^out of memory$")


def test_a_failure_without_a_reason(play, caplog):
    def fail(r):
        r.content_of(HOSTILE)[f"failure.{HOSTILE}"] = ConfigRecord()

    round_one, model = play(fail)
    assert_costs_that_client_alone(round_one, model, caplog, "^no reason given$")


def test_a_node_that_fails_costs_its_clients_their_place(play, caplog):
    def fail(r):
        r.errors[r.node_of(HOSTILE)] = Error(code=2, reason="ClientApp crashed\nTraceback")

    round_one, model = play(fail)
    assert round_one.usable == [0, 2]
    assert round_one.rejected == dict.fromkeys([1, 3], "its node failed: ClientApp crashed Traceback")
    assert len(caplog.records) == 2
    np.testing.assert_array_equal(model[0], np.full((2, 2), 5))


def test_a_reason_is_cut_and_cleaned_before_anybody_sees_it(play, caplog):
    reason = "=cmd|' /C calc'!A0 \x1b[31m" + "x" * 200_000

    def fail(r):
        r.content_of(HOSTILE)[f"failure.{HOSTILE}"] = ConfigRecord({"reason": reason})

    round_one, model = play(fail)
    assert_costs_that_client_alone(round_one, model, caplog, r"^'=cmd\|' /C calc'!A0 x+…$")
    assert len(round_one.rejected[HOSTILE]) == 500


def test_a_node_that_is_silent_costs_its_clients_their_place(play):
    round_one, model = play(lambda r: r.contents.pop(r.node_of(HOSTILE)))
    assert round_one.usable == [0, 2]
    assert round_one.rejected == dict.fromkeys([1, 3], "no reply in time")
    np.testing.assert_array_equal(model[0], np.full((2, 2), 5))


def test_a_node_cannot_answer_for_a_client_that_it_was_not_asked_for(play, make_state):
    def meddle(r):
        r.says(HOSTILE, make_state([5] * 5, count=3))
        content = r.content_of(HOSTILE)
        for victim in (0, 77):
            content[f"model.{victim}"] = ArrayRecord(make_state([1e6] * 5))
            content[f"metrics.{victim}"] = MetricRecord(
                {
                    "num_examples": 100,
                    "num_steps": 10,
                    "train_loss": 0.0,
                    "train_seconds": 0.0,
                    "cpu_seconds": 0.0,
                }
            )
        content["failure.2"] = ConfigRecord({"reason": "slander"})

    round_one, model = play(meddle)
    assert round_one.usable == [0, 1, 2, 3]
    assert round_one.rejected == {}
    np.testing.assert_array_equal(model[0], np.full((2, 2), 5))


def test_a_reply_to_a_message_that_was_not_sent_is_ignored(make_federation, exchange):
    strategy = replace(make_federation(4), max_lost_rounds=2).build(FedAvg)
    earlier = exchange(strategy)
    for message in earlier.sent:
        message.metadata.__dict__["_message_id"] += " of an earlier round"
    earlier.contents = {f"{number} of an earlier round": c for number, c in earlier.contents.items()}
    exchange(strategy, server_round=2)
    assert earlier.finish() is None
    assert earlier.rejected == dict.fromkeys(range(4), "no reply in time")


@pytest.mark.parametrize(("min_replies", "kept"), [(3, False), (4, True)])
def test_too_few_replies_keep_the_model(make_federation, exchange, caplog, min_replies, kept):
    caplog.set_level(logging.WARNING, "fl_backdoor")
    strategy = make_federation(4, min_replies=min_replies).build(FedAvg)
    round_one = exchange(strategy, server_round=6)
    round_one.says(HOSTILE, num_examples=-1)
    assert (round_one.finish() is None) is kept
    assert (strategy.outcome.aggregation is None) is kept
    assert (strategy.outcome.updates is None) is kept
    assert strategy.outcome.server_round == 6
    assert round_one.usable == OTHERS
    said = [record.getMessage() for record in caplog.records]
    assert ("round 6 keeps the model: 3 usable replies, 4 needed" in said) is kept


def silent(r):
    r.contents.clear()


def failing(r):
    r.errors |= {node: Error(code=0, reason="<class 'ray.exceptions.ActorDiedError'>") for node in r.contents}


def refused(r):
    for client_id in range(4):
        r.says(client_id, train_loss=math.nan)


@pytest.mark.parametrize("lose", [silent, failing])
def test_after_some_rounds_in_which_nobody_answers_the_run_stops(make_federation, exchange, lose):
    strategy = replace(make_federation(4), max_lost_rounds=3).build(FedAvg)
    for server_round, misbehave in enumerate([lose, lose, refused, lose, lose], start=1):
        one = exchange(strategy, server_round=server_round)
        misbehave(one)
        assert one.finish() is None
        assert list(one.rejected) == [0, 1, 2, 3]
        assert strategy.courier.replies.nobody_answered is (misbehave is lose)
    last = exchange(strategy, server_round=6)
    lose(last)
    with pytest.raises(NobodyAnswers, match=r"nobody has answered in round 6: (no|its)"):
        last.finish()
    assert strategy.outcome.server_round == 5, "a round in which nobody answers is none"


def test_one_node_that_answers_makes_a_round(make_federation, exchange):
    strategy = make_federation(4).build(FedAvg)
    one = exchange(strategy)
    one.contents.pop(one.node_of(HOSTILE))
    assert one.finish() is not None
    assert not strategy.courier.replies.nobody_answered
