"""Rounds of Lockdown's table 4 (IID, FedAvg, p = 0.5) in one process until the time is over, without Flower.

Settings are those of ``experiment=published/lockdown``; data set, model, trainer and attack are the
program's. Averaging is done here, and images are dealt out by one permutation. Without CIFAR-10 they are
noise: seconds alone mean something then.
"""

import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Figure
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import DataError
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.contents import Contents
from fl_backdoor.data.dataset import Dataset, Split
from fl_backdoor.data.samples import CLEAN, Poison
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.metrics.backdoor import BackdoorFigures, backdoor_figures
from fl_backdoor.training.trainer import predict

CASE = "Lockdown's table 4, FedAvg, p = 0.5, IID"
SETTINGS = ("experiment=published/lockdown", "dataset.download=false")
SMALL = (
    "model=cnn",
    "num_rounds=2",
    "partition.num_clients=4",
    "attack.num_malicious=1",
    "client.local_steps=2",
)
NOISE = "dataset._target_=benchmarks.published_rounds.Noise"
REPORTED_EVERY = 10
"""Rounds: their accuracy and ASR are worked out, beside the clock."""


class Noise(Cifar10):
    """Noise of the form of CIFAR-10."""

    def load(self) -> Dataset:
        """Return images and classes that follow from nothing."""
        random = np.random.default_rng(0)

        def split(size: int) -> Split:
            images = random.integers(0, 256, (size, *self.image_shape), dtype=np.uint8)
            return Split(images, random.integers(0, self.num_classes, size))

        return Dataset(split(2000), split(500), contents=Contents("noise", is_published=False))


def measure(small: bool, ends: float) -> Iterator[Figure]:
    """Train rounds until `ends`, as ``time.monotonic`` counts; one at least."""
    try:
        context = _context(SMALL if small else ())
    except ImportError as error:
        print(f"{CASE}: left out, {error}")
        return
    case = f"{CASE}, on noise" if isinstance(context.dataset, Noise) else CASE
    context.attack  # noqa: B018 - built before the clock starts
    labels = context.data.train.labels
    plan = np.array_split(
        np.random.default_rng(0).permutation(len(labels)), context.config.partition.num_clients
    )
    seconds: list[float] = []
    for server_round in range(1, context.config.num_rounds + 1):
        if seconds and time.monotonic() + statistics.median(seconds) > ends:
            break
        started = time.perf_counter()
        _train(context, plan, server_round)
        seconds.append(time.perf_counter() - started)
        if server_round % REPORTED_EVERY == 0:
            yield from _reported(context, case, server_round)
    if len(seconds) % REPORTED_EVERY:
        yield from _reported(context, case, len(seconds))
    yield Figure(case, f"a round of {len(plan)} clients", "s", tuple(seconds))


def _context(overrides: Sequence[str]) -> ExperimentContext:
    """Return the parts of the experiment; with noise for images where there are no others."""
    from fl_backdoor.runner.composition import composed

    def parts(*more: str) -> ExperimentContext:
        return ExperimentContext(parse_whole(next(composed([*SETTINGS, *overrides, *more])))[0])

    context = parts()
    try:
        context.data  # noqa: B018 - read, or not there
    except DataError:
        return parts(NOISE)
    return context


def _train(context: ExperimentContext, plan: Sequence[NDArray[np.int64]], server_round: int) -> None:
    """Train all clients, and move the model to their mean by numbers of samples."""
    parameters = context.trainer.parameters
    start = [parameter.detach().clone() for parameter in parameters]
    mean = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in parameters]
    num_samples = sum(map(len, plan))
    for client_id, rows in enumerate(plan):
        _set(parameters, start)
        seed = integer_seed(context.config.seed, Purpose.LOCAL_TRAINING, server_round, client_id)
        torch.manual_seed(seed)
        samples = context.training_samples.select(rows)
        context.trainer.train(samples, torch.Generator().manual_seed(seed), _poison(context, client_id, rows))
        with torch.no_grad():
            for total, parameter in zip(mean, parameters, strict=True):
                total.add_(parameter, alpha=len(rows) / num_samples)
    _set(parameters, mean)


@torch.no_grad()
def _set(parameters: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def _poison(context: ExperimentContext, client_id: int, rows: NDArray[np.int64]) -> Poison:
    if client_id not in context.malicious_ids:
        return CLEAN
    attack, seed = context.attack, context.config.seed
    full_batch = context.config.client.full_batch(len(rows))
    samples = context.training_samples.select(rows)
    return attack.poison(context.trigger, samples, full_batch, seed=seed, client_id=client_id)


def _reported(context: ExperimentContext, case: str, server_round: int) -> Iterator[Figure]:
    figures = _figures(context)
    for name, share in (("accuracy", figures.main_task_accuracy), ("ASR", figures.attack_success_rate)):
        yield Figure(f"{case}, after round {server_round}", name, "%", (100 * share,))


def _figures(context: ExperimentContext) -> BackdoorFigures:
    config, labels = context.config, context.data.test.labels
    triggered = context.poisoning.in_test(context.trigger, config.attack.trigger_space)
    clean, stamped = (
        predict(context.model, context.test_samples, config.server.eval_batch_size, poison, context.precision)
        for poison in (CLEAN, triggered)
    )
    aims = context.poisoning.aims()[labels]
    return backdoor_figures(labels, clean.classes, stamped.classes, clean.loss, targets=aims)
