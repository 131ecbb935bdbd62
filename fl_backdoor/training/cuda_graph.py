"""A training step that is recorded once and replayed: its hundreds of kernels start with one call.

What a recorded step reads and writes stays where it was in memory; here its inputs, a batch's indices and the
draws of its augmentation, are copied into places of their own. How a step is recorded is handed in, so that
everything else works and is tested without a GPU.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

Step = Callable[..., None]
"""Takes what a batch is made from, tensors with a row a sample, and changes others in place."""

Work = Callable[[], None]
Record = Callable[[Work], Work]
"""Does some work once or more often, and returns what does it again."""

WARM_UP_STEPS = 3
"""Steps before recording: libraries choose their kernels and allocate their workspaces in the first ones."""


class RecordedStep:
    """A step for batches of one size; others, such as the last of an epoch, are taken as they come.

    Parameters
    ----------
    step
        What is recorded. It must not wait for the GPU nor look at its results.
    inputs
        Where its inputs lie, as large as those of the batches that are replayed.
    state
        All tensors that `step` changes; recording leaves them, and the random numbers to come, as they were.
    record
        `record_on_gpu`, or its stand-in.
    """

    def __init__(
        self, step: Step, inputs: Sequence[torch.Tensor], state: Iterable[torch.Tensor], record: Record
    ) -> None:
        state = list(state)
        self._step = step
        self._inputs = inputs
        gpus = [state[0].device] if state[0].is_cuda else []
        with _unchanged(state), torch.random.fork_rng(devices=gpus):
            self._replay = record(lambda: step(*inputs))

    def __call__(self, *inputs: torch.Tensor) -> None:
        """Take the step for the batch that is made from `inputs`."""
        if len(inputs[0]) != len(self._inputs[0]):
            self._step(*inputs)
            return
        for place, found in zip(self._inputs, inputs, strict=True):
            place.copy_(found)
        self._replay()


def record_on_gpu(work: Work) -> Work:
    """Record `work` as a CUDA graph."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP_STEPS):
            work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Work = graph.replay
    return replay


@contextmanager
def _unchanged(state: list[torch.Tensor]) -> Iterator[None]:
    before = [tensor.detach().clone() for tensor in state]
    yield
    with torch.no_grad():
        for tensor, saved in zip(state, before, strict=True):
            tensor.copy_(saved)
