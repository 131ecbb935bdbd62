"""The server's end of the exchange: one matrix, filled by messages or by the workers themselves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from flwr.app import ArrayRecord, RecordDict

from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import ModelArrays, UpdateMatrix
from fl_backdoor.federation.messages import TrainTask, pack_task
from fl_backdoor.federation.transport.shared_round import SharedRound, create_shared_round


class Exchange(ABC):
    """Carries the model out and the updates in, round after round.

    Parameters
    ----------
    layout
        The model's tensors.
    num_rows
        Clients asked in a round; each has a row, by the order of client ids.

    Attributes
    ----------
    model
        What nodes were sent last, in order.
    """

    def __init__(self, layout: Layout, num_rows: int) -> None:
        self.layout = layout
        self.num_rows = num_rows
        self.model: ModelArrays = []

    @property
    @abstractmethod
    def updates(self) -> UpdateMatrix:
        """The matrix, float32 ``(num_rows, n_params)``."""

    @abstractmethod
    def contents(
        self, model: ModelArrays, record: ArrayRecord, tasks: Mapping[int, TrainTask]
    ) -> dict[int, RecordDict]:
        """Return what each node is sent, by node id; `model` and `record` hold the same."""

    @property
    @abstractmethod
    def carried(self) -> Sequence[TensorSpec]:
        """What the arrays of a client's reply are to be, in order."""

    @abstractmethod
    def receive(self, arrays: ModelArrays, row: int) -> ModelArrays:
        """Take what a client's reply carries, see that its update is in `row`, and return its buffers.

        Raises
        ------
        ReplyError
            If it is not a finite state of this model.
        """

    def gather(self, rows: Sequence[int], *, somebody_is_late: bool) -> UpdateMatrix:
        """Return the usable rows as one matrix, read-only, valid until the next round.

        Parameters
        ----------
        rows
            Ascending.
        somebody_is_late
            Whether a client may still be at work on this round.
        """
        if somebody_is_late:
            self._renew(rows)
        else:
            _move_up(self.updates, self.updates, rows)
        gathered = self.updates[: len(rows)]
        gathered.flags.writeable = False
        return gathered

    @abstractmethod
    def close(self) -> None:
        """Free the matrix."""

    def _renew(self, rows: Sequence[int]) -> None:
        """Move the rows to where no late client can write."""
        _move_up(self.updates, self.updates, rows)


class ByMessages(Exchange):
    """Model and replies travel in messages; the matrix is the server's own."""

    def __init__(self, layout: Layout, num_rows: int) -> None:
        super().__init__(layout, num_rows)
        self._updates: UpdateMatrix = np.empty((num_rows, layout.num_params), dtype=np.float32)

    @property
    def updates(self) -> UpdateMatrix:
        """The matrix."""
        return self._updates

    def contents(
        self, model: ModelArrays, record: ArrayRecord, tasks: Mapping[int, TrainTask]
    ) -> dict[int, RecordDict]:
        """Put the model into each message."""
        self.model = model
        return {node: pack_task(record, task) for node, task in tasks.items()}

    @property
    def carried(self) -> Sequence[TensorSpec]:
        """The whole local model."""
        return self.layout.tensors

    def receive(self, arrays: ModelArrays, row: int) -> ModelArrays:
        """Check the local model that came, and write its update."""
        self.layout.write_update(arrays, self.model, self._updates[row])
        return self.layout.buffers(arrays)

    def close(self) -> None:
        """Free the matrix."""
        self._updates, self.model = np.empty((0, 0), dtype=np.float32), []


class BySharedMemory(Exchange):
    """Model and updates lie in a shared round; messages say where."""

    def __init__(self, layout: Layout, num_rows: int) -> None:
        super().__init__(layout, num_rows)
        self._shared_round = create_shared_round(layout, num_rows)

    @property
    def updates(self) -> UpdateMatrix:
        """The matrix in shared memory."""
        return self._shared_round.updates

    def contents(
        self, model: ModelArrays, record: ArrayRecord, tasks: Mapping[int, TrainTask]
    ) -> dict[int, RecordDict]:
        """Write the model into shared memory, and say where it is."""
        self.model = model
        self._shared_round.write_model(model)
        nothing = ArrayRecord()
        return {node: pack_task(nothing, self._located(task)) for node, task in tasks.items()}

    @property
    def carried(self) -> Sequence[TensorSpec]:
        """The buffers."""
        return self.layout.buffer_tensors

    def receive(self, arrays: ModelArrays, row: int) -> ModelArrays:
        """Check the buffers; the worker has checked and written the update."""
        self.layout.check_buffers(arrays)
        return arrays

    def close(self) -> None:
        """Free the shared memory."""
        self._shared_round.close()
        self.model = []

    def _located(self, task: TrainTask) -> TrainTask:
        return replace(task, shared_round=self._shared_round.address, num_rows=self.num_rows)

    def _renew(self, rows: Sequence[int]) -> None:
        # A late client writes to the shared round that it was sent: nobody reads that one any more.
        late: SharedRound = self._shared_round
        self._shared_round = create_shared_round(self.layout, self.num_rows)
        _move_up(late.updates, self._shared_round.updates, rows)
        late.close()


def _move_up(source: UpdateMatrix, target: UpdateMatrix, rows: Sequence[int]) -> None:
    """Copy the given rows, ascending, to the first rows of `target`."""
    for index, row in enumerate(rows):
        if source is not target or index != row:
            target[index] = source[row]
