"""What the server's rules cost, beside Flower's own: time, and memory beyond the clients' updates.

Each call runs in a process of its own, after a small one that loads what is loaded late. Ours are given the
update matrix. Flower's are given the messages of a round and unpack them within the time counted, as they
have to. Ours and Flower's take turns.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from flwr.serverapp import strategy as flower

from benchmarks.isolated import Measured, isolated
from benchmarks.measure import Figure, Scale
from fl_backdoor.core.types import ParameterVector, UpdateMatrix
from strategies.base import ClientUpdates
from strategies.robust_strategy import RobustStrategy
from strategies.rules.bulyan import Bulyan
from strategies.rules.fedavg import FedAvg
from strategies.rules.flower import reply
from strategies.rules.iqr_filter import IQRFilter
from strategies.rules.krum import Krum
from strategies.rules.median import Median
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.trimmed_mean import TrimmedMean

SIZES = [(50, 1_000_000), (100, 11_000_000)]
SMALL_SIZES = [(10, 10_000)]
SMALL_RULES = ("FedAvg", "Krum")
MOST_REPEATED = 1 << 28
"""Entries of an update matrix beyond which Flower's rules, which take minutes, are run once."""


@dataclass(frozen=True)
class Size:
    """Of an update matrix."""

    num_clients: int
    num_params: int

    @property
    def num_malicious(self) -> int:
        """f, as large as Bulyan allows."""
        return (self.num_clients - 3) // 4

    def __str__(self) -> str:
        return f"n = {self.num_clients}, d = {self.num_params / 1e6:g} M"


OURS: dict[str, Callable[[Size], RobustStrategy]] = {
    "FedAvg": lambda _: FedAvg(),
    "IQR filter": lambda _: IQRFilter(),
    "Krum": lambda size: Krum(num_malicious=size.num_malicious),
    "Multi-Krum": lambda size: MultiKrum(
        num_malicious=size.num_malicious, num_to_select=size.num_clients // 2
    ),
    "Bulyan": lambda size: Bulyan(num_malicious=size.num_malicious),
    "median": lambda _: Median(),
    "trimmed mean": lambda _: TrimmedMean(beta=0.2),
}
FLOWERS: dict[str, Callable[[int, int], flower.FedAvg]] = {
    "Krum": lambda _, f: flower.Krum(num_malicious_nodes=f),
    "Multi-Krum": lambda n, f: flower.MultiKrum(num_malicious_nodes=f, num_nodes_to_select=n // 2),
    "Bulyan": lambda _, f: flower.Bulyan(num_malicious_nodes=f),
    "median": lambda _, __: flower.FedMedian(),
    "trimmed mean": lambda _, __: flower.FedTrimmedAvg(beta=0.2),
}


@dataclass(frozen=True)
class Seconds:
    """What a call took: by the clock, and of all processor cores together."""

    time: float
    cpu_time: float


Runs = list[Measured[Seconds] | None]


def measure(scale: Scale) -> Iterator[Figure]:
    """Yield times and peak memory of each rule, and how many times as long Flower's takes."""
    for num_clients, num_params in SMALL_SIZES if scale.small else SIZES:
        size = Size(num_clients, num_params)
        for rule in SMALL_RULES if scale.small else OURS:
            yield from _compared(rule, size, scale.repeats)


def _compared(rule: str, size: Size, repeats: int) -> Iterator[Figure]:
    ours, flowers = [], []
    flower_repeats = 1 if size.num_clients * size.num_params > MOST_REPEATED else repeats
    for number in range(repeats):
        ours.append(isolated(prepare_ours, rule, size))
        if rule in FLOWERS and number < flower_repeats:
            flowers.append(isolated(prepare_flowers, rule, size))
    yield from _figures(f"{rule}, {size}", ours)
    if rule in FLOWERS:
        yield from _figures(f"{rule}, {size}, Flower", flowers)
        yield from _ratios(f"{rule}, {size}, Flower / ours", flowers, ours)


def _figures(case: str, runs: Runs) -> Iterator[Figure]:
    done = [run for run in runs if run is not None]
    if not done:
        yield Figure(f"{case}: more memory than there was", "runs", "", (0,))
        return
    yield Figure(case, "time", "s", tuple(run.value.time for run in done))
    yield Figure(case, "CPU time", "s", tuple(run.value.cpu_time for run in done))
    yield Figure(case, "peak memory", "MB", tuple(run.peak_mb for run in done))


def _ratios(case: str, flowers: Runs, ours: Runs) -> Iterator[Figure]:
    pairs = [(a.value, b.value) for a, b in zip(flowers, ours, strict=False) if a and b]
    if pairs:
        yield Figure(case, "time", "×", tuple(theirs.time / mine.time for theirs, mine in pairs))
        yield Figure(case, "CPU time", "×", tuple(theirs.cpu_time / mine.cpu_time for theirs, mine in pairs))


def prepare_ours(rule: str, size: Size) -> Callable[[], Seconds]:
    """Return a timed call of our `rule`."""

    def call(size: Size) -> Callable[[], object]:
        strategy = OURS[rule](size)
        return partial(strategy.aggregate, _clients(_updates(size)))

    return _timed(call, size)


def prepare_flowers(rule: str, size: Size) -> Callable[[], Seconds]:
    """Return a timed call of Flower's `rule`."""
    logging.getLogger("flwr").setLevel(logging.WARNING)

    def call(size: Size) -> Callable[[], object]:
        strategy = FLOWERS[rule](size.num_clients, size.num_malicious)
        replies = [reply(row, [1.0]) for row in _rows(size)]
        return partial(strategy.aggregate_train, 1, replies)

    return _timed(call, size)


def _timed(call: Callable[[Size], Callable[[], object]], size: Size) -> Callable[[], Seconds]:
    call(Size(size.num_clients, 100))()
    prepared = call(size)

    def seconds() -> Seconds:
        started, cpu_started = time.perf_counter(), time.process_time()
        prepared()
        return Seconds(time.perf_counter() - started, time.process_time() - cpu_started)

    return seconds


def _rows(size: Size) -> Iterator[ParameterVector]:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(size.num_params, dtype=np.float32)
    for _ in range(size.num_clients):
        yield np.float32(0.01) * (common + rng.standard_normal(size.num_params, dtype=np.float32))


def _updates(size: Size) -> UpdateMatrix:
    updates = np.empty((size.num_clients, size.num_params), dtype=np.float32)
    for index, row in enumerate(_rows(size)):
        updates[index] = row
    return updates


def _clients(updates: UpdateMatrix) -> ClientUpdates:
    ones = np.ones(len(updates))
    return ClientUpdates(
        1,
        updates,
        num_steps=ones,
        num_examples=ones,
        learning_rate=1.0,
        weights=ones / len(updates),
        client_ids=np.arange(len(updates)),
    )
