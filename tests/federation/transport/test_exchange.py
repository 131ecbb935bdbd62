"""Both ways of the exchange, server and worker in one process, on a model of 5 parameters and 2 buffers."""

import numpy as np
import pytest
from flwr.app import ArrayRecord

from fl_backdoor.core.errors import FlBackdoorError, ReplyError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.federation.messages import TrainTask, unpack_task
from fl_backdoor.federation.transport.choice import exchange_for, open_exchange
from fl_backdoor.federation.transport.server import BySharedMemory
from fl_backdoor.federation.transport.shared_round import (
    create_shared_round,
    open_shared_round,
    shared_round_bytes,
)

LAYOUT = Layout(
    (
        TensorSpec("weight", (2, 2), "float32", True),
        TensorSpec("mean", (3,), "float32", False),
        TensorSpec("count", (), "int64", False),
        TensorSpec("bias", (1,), "float32", True),
    )
)
NODE = 77


def state(parameters, mean=(0, 0, 0), count=0):
    values = np.asarray(parameters, dtype=np.float32)
    return [values[:4].reshape(2, 2), np.asarray(mean, dtype=np.float32), np.array(count), values[4:]]


@pytest.fixture(params=["memory", "messages", "float32", "float16"])
def exchange(request):
    made = open_exchange(request.param, LAYOUT, 3)
    yield made
    made.close()


def send(exchange, model, server_round=1):
    """Return the worker's end of a round."""
    task = TrainTask("{}", server_round, (4, 5, 6), (0, 1, 2))
    content = exchange.contents(model, ArrayRecord(model), {NODE: task})[NODE]
    arrays, task = unpack_task(content)
    return exchange_for(arrays, task, LAYOUT)


def test_the_model_arrives_as_it_is(exchange):
    sent = state([1, 2, 3, 4, 5], mean=(6, 7, 8), count=9)
    arrived = send(exchange, sent).model
    for there, here in zip(arrived, sent, strict=True):
        np.testing.assert_array_equal(there, here)
        assert (there.dtype, there.shape) == (here.dtype, here.shape)


def test_updates_land_in_their_rows_and_buffers_in_the_reply(exchange):
    worker = send(exchange, state([1, 1, 1, 1, 1]))
    for row, local in enumerate([[2, 1, 1, 1, 1], [1, 1, 1, 1, 4], [0, 0, 0, 0, 0]]):
        carried = worker.deliver(state(local, mean=(row, 0, 0), count=row), row)
        mean, count = exchange.receive(carried, row)
        assert (mean[0], count) == (row, row)
    found = exchange.gather([0, 1, 2], somebody_is_late=False)
    np.testing.assert_array_equal(found, [[1, 0, 0, 0, 0], [0, 0, 0, 0, 3], [-1] * 5])


@pytest.mark.parametrize("late", [False, True])
def test_rejected_clients_leave_no_gap(exchange, late):
    worker = send(exchange, state([0] * 5))
    for row in (0, 2):
        exchange.receive(worker.deliver(state([row + 1] * 5), row), row)
    found = exchange.gather([0, 2], somebody_is_late=late)
    np.testing.assert_array_equal(found, [[1] * 5, [3] * 5])
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1


def test_nan_costs_the_client_its_place_wherever_it_is_checked(exchange):
    worker = send(exchange, state([0] * 5))
    with pytest.raises(ReplyError, match="bias holds NaN"):
        exchange.receive(worker.deliver(state([0, 0, 0, 0, np.nan]), 1), 1)


def test_the_next_round_uses_the_matrix_again(exchange):
    for server_round in (1, 2):
        worker = send(exchange, state([server_round] * 5), server_round)
        np.testing.assert_array_equal(worker.model[0], np.full((2, 2), server_round))
        for row in range(3):
            exchange.receive(worker.deliver(state([10 * row] * 5), row), row)
        found = exchange.gather([0, 1, 2], somebody_is_late=False)
        np.testing.assert_array_equal(found[:, 0], np.array([0, 10, 20]) - server_round)


def test_a_late_client_cannot_touch_a_later_round():
    """It still holds the shared round of its own round, model and matrix alike."""
    server = BySharedMemory(LAYOUT, 3)
    late = send(server, state([0] * 5))
    server.receive(late.deliver(state([1] * 5), 0), 0)
    found = server.gather([0], somebody_is_late=True)
    worker = send(server, state([5] * 5), server_round=2)
    late.deliver(state([9] * 5), 0)
    np.testing.assert_array_equal(found, [[1] * 5])
    np.testing.assert_array_equal(late.model[3], [0])
    server.receive(worker.deliver(state([7] * 5), 0), 0)
    np.testing.assert_array_equal(server.gather([0], somebody_is_late=False), [[2] * 5])
    server.close()


def test_workers_cannot_write_the_global_model():
    server = BySharedMemory(LAYOUT, 1)
    with pytest.raises(ValueError, match="read-only"):
        send(server, state([0] * 5)).model[0][0, 0] = 1
    server.close()


def test_a_board_has_room_for_the_model_and_a_row_a_client():
    # 16, 12, 8 and 4 bytes, each from a multiple of 64 on, then rows of 5 float32.
    assert shared_round_bytes(LAYOUT, 3) == 4 * 64 + 3 * 5 * 4
    shared_round = create_shared_round(LAYOUT, 3)
    assert shared_round.updates.shape == (3, 5)
    with pytest.raises(FlBackdoorError, match="belongs to another model"):
        open_shared_round(shared_round.address, LAYOUT, 4)
    shared_round.close()
