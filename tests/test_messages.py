from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_backdoor.messages import (
    ClientFailure,
    ClientReply,
    TrainTask,
    pack_replies,
    pack_task,
    unpack_replies,
    unpack_task,
)

ARRAYS = [np.array([[1.5, -2]], np.float32), np.array(7), np.zeros((0, 2), np.float32)]


def reply(client_id=3, arrays=ARRAYS):
    return ClientReply(client_id, arrays, num_examples=100, num_steps=10, train_loss=0.25, train_seconds=1.5)


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
    sent = [reply(3), ClientFailure(5, "no memory"), reply(9, [np.array([4.0])])]
    found = unpack_replies(pack_replies(sent), [3, 5, 9])
    assert found[1] == sent[1]
    for one, other in ((found[0], sent[0]), (found[2], sent[2])):
        assert_same_arrays(one.arrays, other.arrays)
        for name in ("client_id", "num_examples", "num_steps", "train_loss", "train_seconds"):
            assert getattr(one, name) == getattr(other, name)


def test_notes_arrive_and_anything_else_in_their_place_is_none():
    content = pack_replies([replace(reply(3), notes=b"\x00\xff"), reply(5), reply(9)])
    content["notes.9"] = ConfigRecord({"notes": "text"})
    assert [part.notes for part in unpack_replies(content, [3, 5, 9])] == [b"\x00\xff", b"", b""]
    assert "notes.5" not in content


def test_replies_come_in_the_order_asked_and_no_others():
    content = pack_replies([reply(3), reply(5), reply(9)])
    assert [part.client_id for part in unpack_replies(content, [9, 3])] == [9, 3]
    assert unpack_replies(content, []) == []


def test_a_client_of_whom_nothing_is_said_has_failed():
    assert unpack_replies(RecordDict(), [4]) == [ClientFailure(4, "the reply lacks metrics.4")]
    content = pack_replies([reply(4)])
    del content["model.4"]
    assert unpack_replies(content, [4]) == [ClientFailure(4, "the reply lacks model.4")]


def test_a_failure_counts_even_beside_a_model():
    content = pack_replies([reply(4), ClientFailure(4, "half done")])
    assert unpack_replies(content, [4]) == [ClientFailure(4, "half done")]


def test_records_beside_the_expected_ones_do_no_harm():
    content = pack_replies([reply(4)])
    content["model.04"] = ArrayRecord([np.zeros(1)])
    content["extra"] = ConfigRecord({"a": b"b"})
    content["metrics.4"]["bonus"] = [1, 2]
    (part,) = unpack_replies(content, [4])
    assert_same_arrays(part.arrays, ARRAYS)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"num_examples": 10.0}, "unreadable reply: num_examples = 10.0 must be a whole number"),
        ({"num_steps": 0.5}, "unreadable reply: num_steps = 0.5 must be a whole number"),
        ({"num_steps": [10]}, "unreadable reply: num_steps must be one number"),
        ({"train_loss": []}, "unreadable reply: train_loss must be one number"),
        ({"train_loss": float("nan")}, "unreadable reply: train_loss = nan must be finite"),
        ({"train_seconds": float("-inf")}, "unreadable reply: train_seconds = -inf must be finite"),
        ({"num_examples": float("inf")}, "unreadable reply: num_examples = inf must be finite"),
        ({"train_loss": 10**400}, "unreadable reply: int too large to convert to float"),
    ],
)
def test_metrics_that_are_no_numbers_fail_that_client(metrics, reason):
    content = pack_replies([reply(4), reply(5)])
    content["metrics.4"].update(metrics)
    failed, sound = unpack_replies(content, [4, 5])
    assert failed == ClientFailure(4, reason)
    assert isinstance(sound, ClientReply)


def test_whole_numbers_pass_for_times_and_losses():
    content = pack_replies([reply(4)])
    content["metrics.4"] = MetricRecord(
        {"num_examples": 1, "num_steps": 1, "train_loss": 2, "train_seconds": 0}
    )
    (part,) = unpack_replies(content, [4])
    assert (part.train_loss, part.train_seconds) == (2.0, 0.0)
    assert type(part.train_loss) is type(part.train_seconds) is float
