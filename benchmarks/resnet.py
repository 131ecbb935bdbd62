"""A run of ResNet-18 beside the bare loop that does the same work: few steps a round, see `whole_run`."""

from collections.abc import Iterator

from benchmarks.measure import Figure, Scale
from benchmarks.whole_run import Case, compared


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure both, in the precision that is native here; a thousand test images are evaluated on."""
    rounds, steps = (2, 1) if scale.small else (3, 3)
    yield from compared(Case(rounds, steps, model="resnet18", short_test=True), scale.repeats)
