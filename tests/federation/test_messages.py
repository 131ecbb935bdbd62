from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import TensorSpec
from fl_backdoor.federation.messages import (
    MOST_SHARED,
    ClientFailure,
    ClientReply,
    NodeReply,
    TrainTask,
    check_claims,
    pack_replies,
    pack_task,
    unpack_task,
)

ARRAYS = [np.array([[1.5, -2]], np.float32), np.array(7), np.zeros((0, 2), np.float32)]
CARRIED = [
    TensorSpec("weight", (1, 2), "float32", True),
    TensorSpec("count", (), "int64", False),
    TensorSpec("nothing", (0, 2), "float32", True),
]


def reply(client_id=3, arrays=ARRAYS):
    return ClientReply(client_id, 100, 10, 0.25, 1.5, cpu_seconds=2.5, arrays=arrays)


def unpacked(content, client_ids, carried=CARRIED):
    node = NodeReply(content)
    return [node.of(client_id, carried) for client_id in client_ids]


def assert_same_arrays(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def test_a_task_arrives_as_it_was_sent():
    task = TrainTask('{"seed": 1, "name": "Ä"}', 12, (0, 7, 1000), (0, 1, 3), "12/34", 4, "", b"\x00\xff")
    arrays, found = unpack_task(pack_task(ArrayRecord(ARRAYS), task))
    assert found == task
    assert_same_arrays(arrays, ARRAYS)


def test_messages_share_one_model():
    model = ArrayRecord(ARRAYS)
    contents = [pack_task(model, TrainTask("{}", 1, (client_id,), (0,))) for client_id in range(3)]
    assert all(content.array_records["model"] is model for content in contents)


def test_replies_arrive_as_they_were_sent():
    sent = [reply(3), ClientFailure(5, "no memory"), reply(9)]
    found = unpacked(pack_replies(sent), [3, 5, 9])
    assert found[1] == sent[1]
    for one, other in ((found[0], sent[0]), (found[2], sent[2])):
        assert_same_arrays(one.arrays, other.arrays)
        for name in ("client_id", "num_examples", "num_steps", "train_loss", "train_seconds", "cpu_seconds"):
            assert getattr(one, name) == getattr(other, name)


def test_notes_arrive_and_anything_else_in_their_place_is_none():
    content = pack_replies([replace(reply(3), shared_state=b"\x00\xff"), reply(5), reply(9)])
    content["shared_state.9"] = ConfigRecord({"shared_state": "text"})
    assert [part.shared_state for part in unpacked(content, [3, 5, 9])] == [b"\x00\xff", b"", b""]
    assert "shared_state.5" not in content


def test_notes_have_a_limit_on_the_server_and_on_the_node():
    enough = replace(reply(3), shared_state=bytes(MOST_SHARED))
    check_claims(enough)
    assert unpacked(pack_replies([enough]), [3])[0].shared_state == enough.shared_state
    too_many = replace(reply(3), shared_state=bytes(MOST_SHARED + 1))
    for refused in (lambda: check_claims(too_many), lambda: unpacked(pack_replies([too_many]), [3])):
        with pytest.raises(
            ReplyError, match=f"shared state of {MOST_SHARED + 1} bytes, at most {MOST_SHARED}"
        ):
            refused()


def test_replies_come_in_the_order_asked():
    content = pack_replies([reply(3), reply(5), reply(9)])
    assert [part.client_id for part in unpacked(content, [9, 3])] == [9, 3]


def test_a_client_of_whom_nothing_is_said_has_failed():
    with pytest.raises(ReplyError, match=r"the reply lacks metrics\.4"):
        unpacked(RecordDict(), [4])
    content = pack_replies([reply(4)])
    del content["model.4"]
    with pytest.raises(ReplyError, match=r"the reply lacks model\.4"):
        unpacked(content, [4])


def test_a_failure_counts_even_beside_a_model():
    content = pack_replies([reply(4), ClientFailure(4, "half done")])
    assert unpacked(content, [4]) == [ClientFailure(4, "half done")]


def test_records_beside_the_expected_ones_do_no_harm():
    content = pack_replies([reply(4)])
    content["model.04"] = ArrayRecord([np.zeros(1)])
    content["extra"] = ConfigRecord({"a": b"b"})
    content["metrics.4"]["bonus"] = [1, 2]
    (part,) = unpacked(content, [4])
    assert_same_arrays(part.arrays, ARRAYS)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"num_examples": 10.0}, "num_examples = 10.0 must be a whole number"),
        ({"num_steps": 0.5}, "num_steps = 0.5 must be a whole number"),
        ({"num_steps": [10]}, "num_steps must be one number"),
        ({"train_loss": []}, "train_loss must be one number"),
        ({"train_loss": float("nan")}, "train_loss = nan must be finite"),
        ({"train_seconds": float("-inf")}, "train_seconds = -inf must be finite"),
        ({"num_examples": float("inf")}, "num_examples = inf must be finite"),
        ({"train_loss": 10**400}, "train_loss must be a number of at most 64 bits"),
        ({"num_steps": 10**30}, "num_steps must be a number of at most 64 bits"),
        ({"num_steps": 2**63}, "num_steps must be a number of at most 64 bits"),
    ],
)
def test_metrics_that_are_no_numbers_fail_that_client(metrics, reason):
    content = pack_replies([reply(4), reply(5)])
    content["metrics.4"].update(metrics)
    with pytest.raises(ReplyError, match=reason):
        unpacked(content, [4])
    assert isinstance(unpacked(content, [5])[0], ClientReply)


@pytest.mark.parametrize(
    "odd",
    [
        {"arrays": [np.array([{}], dtype=object)]},
        {"arrays": [1.5]},
        {"num_examples": True},
        {"num_steps": "ten"},
    ],
)
def test_what_cannot_be_sent_costs_its_client_alone(odd):
    """A plug-in's client may return anything; the others on its node have trained for nothing otherwise."""
    failed, sound = unpacked(pack_replies([replace(reply(4), **odd), reply(5)]), [4, 5])
    assert isinstance(failed, ClientFailure)
    assert isinstance(sound, ClientReply)


def test_a_truth_value_is_no_number():
    with pytest.raises(ReplyError, match="num_examples must be one number"):
        check_claims(replace(reply(), num_examples=True))


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x y" * 100_000, ("x y" * 167)[:499] + "…"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("\x1b[2Jboom\n\x1b[31m there", "boom there"),
        ("a\ud800b \u202e c", "a b c"),
        ("", "no reason given"),
        ("\x1b[0m", "no reason given"),
        ("false", "no reason given false"),
        ("1e5", "no reason given 1e5"),
    ],
)
def test_reasons_are_short_and_clean_wherever_they_come_from(reason, kept):
    assert ClientFailure(4, reason).reason == kept
    content = RecordDict({"failure.4": ConfigRecord({"reason": reason})})
    assert unpacked(content, [4]) == [ClientFailure(4, kept)]


def test_whole_numbers_pass_for_times_and_losses():
    content = pack_replies([reply(4)])
    content["metrics.4"] = MetricRecord(
        {"num_examples": 1, "num_steps": 1, "train_loss": 2, "train_seconds": 0, "cpu_seconds": 3}
    )
    (part,) = unpacked(content, [4])
    assert (part.train_loss, part.train_seconds, part.cpu_seconds) == (2.0, 0.0, 3.0)
    assert {type(found) for found in (part.train_loss, part.train_seconds, part.cpu_seconds)} == {float}
