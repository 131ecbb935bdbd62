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
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import ParameterVector, UpdateMatrix
from strategies.base import ClientUpdates, ServerContext
from strategies.robust_strategy import RobustStrategy
from strategies.rules.alignins import AlignIns
from strategies.rules.bulyan import Bulyan
from strategies.rules.clip_avg import ClipAvg
from strategies.rules.dnc import DnC
from strategies.rules.fedavg import FedAvg
from strategies.rules.flame import Flame
from strategies.rules.fldetector import FLDetector
from strategies.rules.flower import reply
from strategies.rules.foolsgold import FoolsGold
from strategies.rules.freqfed import FreqFed
from strategies.rules.hybrid import Hybrid
from strategies.rules.iqr_filter import IQRFilter
from strategies.rules.krum import Krum
from strategies.rules.lasa import LASA
from strategies.rules.median import Median
from strategies.rules.multi_krum import MultiKrum
from strategies.rules.multi_metrics import MultiMetrics
from strategies.rules.rfa import RFA
from strategies.rules.rflbat import RFLBAT
from strategies.rules.rlr import RLR
from strategies.rules.signguard import SignGuard
from strategies.rules.trimmed_mean import TrimmedMean
from strategies.steps.bucketing import Bucketing
from strategies.steps.centered_clipping import CenteredClipping
from strategies.steps.nnm import NNM
from strategies.steps.norm_clipping import NormClipping
from strategies.steps.sparsification import Sparsification

SIZES = [(50, 1_000_000), (100, 11_000_000)]
SMALL_SIZES = [(10, 10_000)]
SMALL_RULES = ("FedAvg", "Krum")
NUM_TENSORS = 10
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
    "ClipAvg": lambda _: ClipAvg(learning_rate=1),
    "hybrid": lambda _: Hybrid(learning_rate=1),
    "norm clipping": lambda _: NormClipping(),
    "centered clipping": lambda _: CenteredClipping(radius=1),
    "bucketing": lambda _: Bucketing(),
    "NNM": lambda size: NNM(num_malicious=size.num_malicious),
    "sparsification": lambda _: Sparsification(),
    "RFA": lambda _: RFA(),
    "RLR": lambda _: RLR(),
    "SignGuard": lambda _: SignGuard(),
    "DnC": lambda size: DnC(num_malicious=size.num_malicious),
    "AlignIns": lambda _: AlignIns(),
    "LASA": lambda _: LASA(),
    "FLAME": lambda _: Flame(),
    "RFLBAT": lambda _: RFLBAT(),
    "FoolsGold": lambda _: FoolsGold(),
    "FLDetector": lambda _: FLDetector(),
    "FreqFed": lambda _: FreqFed(),
    "Multi-Metrics": lambda _: MultiMetrics(),
}
ROUNDS_BEFORE = {"centered clipping": 1, "FoolsGold": 1, "FLDetector": 3}
"""Of rules that remember: the round that is timed finds a memory."""

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
        layout = _layout(size.num_params)
        strategy.prepare(ServerContext(layout, participants_per_round=size.num_clients))
        updates = _updates(size)
        for server_round in range(1, ROUNDS_BEFORE.get(rule, 0) + 1):
            clients = _clients(updates, layout, server_round)
            strategy.finish(clients.model, clients, strategy.aggregate(clients))
        return partial(strategy.aggregate, _clients(updates, layout, ROUNDS_BEFORE.get(rule, 0) + 1))

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


def _layout(num_params: int) -> Layout:
    """Return a model of ten tensors of one size."""
    size = num_params // NUM_TENSORS
    return Layout(tuple(TensorSpec(f"{i}", (size,), "float32", True) for i in range(NUM_TENSORS)))


def _clients(updates: UpdateMatrix, layout: Layout, server_round: int) -> ClientUpdates:
    ones = np.ones(len(updates))
    model = np.random.default_rng(server_round).standard_normal(layout.num_params, dtype=np.float32)
    return ClientUpdates(
        server_round,
        updates,
        num_steps=ones,
        num_examples=ones,
        learning_rate=1.0,
        weights=ones / len(updates),
        client_ids=np.arange(len(updates)),
        model=[part for _, part in layout.parts(model)],
    )
