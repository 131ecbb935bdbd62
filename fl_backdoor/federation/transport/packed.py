"""Both ends of the exchange between machines: a model travels in one piece, and so does an update.

Flower sends, stores and confirms each array of a message by itself, over HTTP. A model in one array costs a
tenth of the requests of one in twenty, and an update in float16 half of the bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from flwr.app import ArrayRecord, RecordDict
from numpy.typing import NDArray

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.messages import TrainTask, pack_task
from fl_backdoor.federation.transport.node import NodeExchange
from fl_backdoor.federation.transport.server import ByMessages

Packing = Literal["float32", "float16"]
"""What updates travel as; float32 changes nothing in them."""


class PackedOnServer(ByMessages):
    """The server's end.

    Parameters
    ----------
    layout, num_rows
        As for `Exchange`.
    packing
        What updates travel as.
    """

    def __init__(self, layout: Layout, num_rows: int, packing: Packing) -> None:
        super().__init__(layout, num_rows)
        self.packing = packing

    def contents(
        self, model: ModelArrays, record: ArrayRecord, tasks: Mapping[int, TrainTask]
    ) -> dict[int, RecordDict]:
        """Put the model into each message, in one piece."""
        self.model = model
        piece = ArrayRecord([packed(model)])
        return {node: pack_task(piece, replace(task, packing=self.packing)) for node, task in tasks.items()}

    @property
    def carried(self) -> Sequence[TensorSpec]:
        """The update in one piece, and the buffers behind it."""
        return (self.layout.in_one_piece(self.packing), *self.layout.buffer_tensors)

    def receive(self, arrays: ModelArrays, row: int) -> ModelArrays:
        """Check the update that came and write it into its row; return the buffers."""
        if not arrays:
            raise ReplyError("the reply carries no update")
        update, buffers = arrays[0], arrays[1:]
        self.layout.check_buffers(buffers)
        self.layout.check_vector(update, self.packing)
        self.updates[row] = update
        return buffers


class PackedOnNode(NodeExchange):
    """The node's end.

    Parameters
    ----------
    piece
        The model as it came, uint8.
    layout
        The model's tensors.
    packing
        What updates travel as.
    """

    def __init__(self, piece: NDArray[np.uint8], layout: Layout, packing: Packing) -> None:
        self.model = unpacked(piece, layout)
        self._layout = layout
        self._packing = packing

    def deliver(self, local: ModelArrays, row: int) -> ModelArrays:
        """Return the update in one piece, and the buffers behind it."""
        update = np.empty(self._layout.num_params, dtype=np.float32)
        self._layout.write_update(local, self.model, update)
        # What float16 cannot hold becomes infinite there, and costs this client its place at the server.
        with np.errstate(over="ignore"):
            travelling = update.astype(self._packing, copy=False)
        return [travelling, *self._layout.buffers(local)]


def packed(model: Sequence[NDArray[np.generic]]) -> NDArray[np.uint8]:
    """Return all tensors behind each other, as bytes."""
    pieces = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in model]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint8)


def unpacked(piece: NDArray[np.uint8], layout: Layout) -> ModelArrays:
    """Return the tensors that `packed` has put together, read-only.

    Raises
    ------
    ReplyError
        If they are not those of `layout`.
    """
    expected = sum(tensor.num_bytes for tensor in layout.tensors)
    if piece.dtype != np.uint8 or piece.shape != (expected,):
        raise ReplyError(f"the model came as {piece.shape} {piece.dtype}, not as {expected} bytes")
    model: ModelArrays = []
    start = 0
    for tensor in layout.tensors:
        # A copy begins where processors like it; the tensors of a piece begin anywhere.
        part = piece[start : start + tensor.num_bytes].copy().view(tensor.dtype).reshape(tensor.shape)
        part.flags.writeable = False
        model.append(part)
        start += tensor.num_bytes
    return model
