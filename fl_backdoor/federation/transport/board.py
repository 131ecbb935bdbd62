"""What lies in a segment: the global model, and the matrix of a round's updates."""

import math

import numpy as np

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays, UpdateMatrix
from fl_backdoor.federation.transport.segment import Segment, create_segment, open_segment

ALIGNMENT = 64
"""Bytes; the tensors and the matrix begin at multiples of it, as processors like it."""


class Board:
    """The global model and the update matrix on one segment.

    Parameters
    ----------
    segment
        Of `board_bytes` bytes.
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
        if len(segment.buffer) != board_bytes(layout, num_rows):
            raise FlBackdoorError(f"shared memory {segment.address} belongs to another model")
        self.segment = segment
        self.model: ModelArrays = []
        start = 0
        for tensor in layout.tensors:
            place = segment.buffer[start : start + tensor.num_bytes]
            self.model.append(place.view(tensor.dtype).reshape(tensor.shape))
            start = _aligned(start + tensor.num_bytes)
        matrix = segment.buffer[start:].view(np.float32)
        self.updates: UpdateMatrix = matrix.reshape(num_rows, layout.num_params)

    @property
    def address(self) -> str:
        """Where workers find it."""
        return self.segment.address

    def write_model(self, arrays: ModelArrays) -> None:
        """Put the global model on the board."""
        for place, array in zip(self.model, arrays, strict=True):
            place[...] = array

    def close(self) -> None:
        """Give the memory back once nobody uses it any more."""
        self.model, self.updates = [], np.empty((0, 0), dtype=np.float32)
        self.segment.close()


def create_board(layout: Layout, num_rows: int) -> Board:
    """Return a new board; raises FlBackdoorError if there is not so much memory."""
    return Board(create_segment(board_bytes(layout, num_rows)), layout, num_rows)


def open_board(address: str, layout: Layout, num_rows: int) -> Board:
    """Open the server's board in a worker, its model read-only."""
    board = Board(open_segment(address), layout, num_rows)
    for tensor in board.model:
        tensor.flags.writeable = False
    return board


def board_bytes(layout: Layout, num_rows: int) -> int:
    """Return the size of a board."""
    model = sum(_aligned(tensor.num_bytes) for tensor in layout.tensors)
    return model + num_rows * layout.num_params * np.dtype(np.float32).itemsize


def _aligned(offset: int) -> int:
    return math.ceil(offset / ALIGNMENT) * ALIGNMENT
