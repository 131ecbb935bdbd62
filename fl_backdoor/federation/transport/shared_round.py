"""What lies in a segment: the global model, and the matrix of a round's updates."""

import math

import numpy as np

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays, UpdateMatrix
from fl_backdoor.federation.transport.segment import Segment, create_segment, open_segment

ALIGNMENT = 64
"""Bytes; the tensors and the matrix begin at multiples of it, as processors like it."""


class SharedRound:
    """The global model and the update matrix on one segment.

    Parameters
    ----------
    segment
        Of `shared_round_bytes` bytes.
    layout
        The model's tensors.
    num_rows
        Rows of the matrix.

    Attributes
    ----------
    model
        One array a tensor, in ``state_dict`` order.
    updates
        float32 ``(num_rows, n_params)``.
    """

    def __init__(self, segment: Segment, layout: Layout, num_rows: int) -> None:
        if len(segment.buffer) != shared_round_bytes(layout, num_rows):
            raise FlBackdoorError(f"shared memory {segment.address} belongs to another model")
        self.segment = segment
        self.model: ModelArrays = []
        start = 0
        for tensor in layout.tensors:
            part = segment.buffer[start : start + tensor.num_bytes]
            self.model.append(part.view(tensor.dtype).reshape(tensor.shape))
            start = _aligned(start + tensor.num_bytes)
        matrix = segment.buffer[start:].view(np.float32)
        self.updates: UpdateMatrix = matrix.reshape(num_rows, layout.num_params)

    @property
    def address(self) -> str:
        """Where workers find it."""
        return self.segment.address

    def write_model(self, arrays: ModelArrays) -> None:
        """Put the global model into it."""
        for tensor, array in zip(self.model, arrays, strict=True):
            tensor[...] = array

    def close(self) -> None:
        """Give the memory back once nobody uses it any more."""
        self.model, self.updates = [], np.empty((0, 0), dtype=np.float32)
        self.segment.close()


def create_shared_round(layout: Layout, num_rows: int) -> SharedRound:
    """Return a new shared round; raises FlBackdoorError if there is not so much memory."""
    return SharedRound(create_segment(shared_round_bytes(layout, num_rows)), layout, num_rows)


def open_shared_round(address: str, layout: Layout, num_rows: int) -> SharedRound:
    """Open the server's shared round in a worker, its model read-only."""
    shared_round = SharedRound(open_segment(address), layout, num_rows)
    for tensor in shared_round.model:
        tensor.flags.writeable = False
    return shared_round


def shared_round_bytes(layout: Layout, num_rows: int) -> int:
    """Return the size of a shared round."""
    model = sum(_aligned(tensor.num_bytes) for tensor in layout.tensors)
    return model + num_rows * layout.num_params * np.dtype(np.float32).itemsize


def _aligned(offset: int) -> int:
    return math.ceil(offset / ALIGNMENT) * ALIGNMENT
