"""What a server refuses of updates in one piece, and what a node refuses of models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.federation.transport.packed import PackedOnNode, PackedOnServer, packed, unpacked
from tests.federation.transport.test_exchange import LAYOUT, state

BUFFERS = [np.zeros(3, np.float32), np.array(0)]


@pytest.mark.parametrize("packing", ["float32", "float16"])
@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ([], "the reply carries no update"),
        ([np.zeros(4, np.float32), *BUFFERS], r"the update has shape \(4,\), not \(5,\)"),
        ([np.zeros((5, 1), np.float32), *BUFFERS], r"the update has shape \(5, 1\), not \(5,\)"),
        ([np.zeros(5, np.float64), *BUFFERS], "the update has dtype float64"),
        ([np.zeros(5, np.float32)], "0 tensors instead of 2"),
        ([np.zeros(5, np.float32), *BUFFERS, np.zeros(1)], "3 tensors instead of 2"),
    ],
)
def test_what_is_no_update_is_refused(packing, arrays, reason):
    if packing == "float16" and arrays and arrays[0].dtype == np.float32:
        arrays = [arrays[0].astype(np.float16), *arrays[1:]]
    server = PackedOnServer(LAYOUT, 2, packing)
    with pytest.raises(ReplyError, match=reason):
        server.receive(arrays, 0)


@pytest.mark.parametrize(("packing", "value"), [("float32", np.nan), ("float32", np.inf), ("float32", 2e30)])
def test_numbers_that_are_none_are_refused(packing, value):
    update = np.zeros(5, packing)
    update[2] = value
    with pytest.raises(ReplyError, match="the update holds NaN, Inf or numbers beyond"):
        PackedOnServer(LAYOUT, 2, packing).receive([update, *BUFFERS], 1)


def test_what_float16_cannot_hold_costs_the_client_its_place():
    # The largest float16 is 65504.
    node = PackedOnNode(packed(state([0] * 5)), LAYOUT, "float16")
    carried = node.deliver(state([0, 0, 70000, 0, 0]), 0)
    with pytest.raises(ReplyError, match="the update holds NaN, Inf"):
        PackedOnServer(LAYOUT, 1, "float16").receive(carried, 0)


def test_a_model_of_another_size_is_refused():
    piece = packed(state([0] * 5))
    # 4 + 3 + 1 float32 and an int64.
    assert piece.shape == (8 * 4 + 8,)
    for wrong in (piece[:-1], np.append(piece, np.uint8(0)), piece.view(np.float32)):
        with pytest.raises(ReplyError, match="the model came as"):
            unpacked(wrong, LAYOUT)


@given(arrays(np.float32, 5), st.integers(-(2**63), 2**63 - 1))
def test_a_model_comes_out_as_it_went_in(parameters, count):
    sent = state(parameters, count=count)
    for there, here in zip(unpacked(packed(sent), LAYOUT), sent, strict=True):
        assert there.tobytes() == here.tobytes()
        assert (there.shape, there.dtype) == (here.shape, here.dtype)


@given(arrays(np.float32, 5, elements=st.floats(-1, 1, width=32)))
def test_float16_keeps_an_update_to_a_two_thousandth(update):
    # A float16 has 11 binary digits: rounding errs by 2^-12 of the value at most, or 2^-25 below 2^-14.
    node = PackedOnNode(packed(state([0] * 5)), LAYOUT, "float16")
    server = PackedOnServer(LAYOUT, 1, "float16")
    server.receive(node.deliver(state(update), 0), 0)
    np.testing.assert_allclose(server.updates[0], update, rtol=2**-11, atol=2**-24)
