"""Every rule behind and before every step, on rounds that are hard on both, with BatchNorm, and cut off.

A rule joins by its row in `DEFENCES`, and so does a step. A run has rounds of all kinds, with participants
that change: what a round has left in a memory, the next one meets. Messages say which chain and which round.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.testing.rules import server_of
from strategies.chain.chain import Chain
from strategies.chain.kinds import ModelStep, Step
from strategies.courier import Courier, Received
from strategies.persistent_direction import group_test
from strategies.persistent_direction.rule import PersistentDirection
from strategies.rules.flower import FlowerStrategy
from strategies.torch_workbench import TorchWorkbench
from strategies.workbench import RootData
from tests.strategies.flower_app import InProcess, run
from tests.strategies.test_contracts import DEFENCES

INPUT_SHAPE, NUM_CLASSES = (2, 3, 3), 2


class Network(nn.Module):
    """A convolution, BatchNorm and a linear layer: 40 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 2, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, NUM_CLASSES)
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.norm(self.conv(inputs)).relu().mean((2, 3))) * self.scale
        return found


with torch.random.fork_rng():
    torch.manual_seed(1)
    NETWORK = {name: array.numpy() for name, array in Network().state_dict().items()}

LAYOUT = Layout(
    tuple(
        TensorSpec(name, array.shape, array.dtype.name, array.dtype == np.float32 and "running" not in name)
        for name, array in NETWORK.items()
    )
)


def workbench() -> TorchWorkbench:
    random = torch.Generator().manual_seed(3)
    root = RootData(torch.randn(8, *INPUT_SHAPE, generator=random), torch.arange(8) % NUM_CLASSES)
    update = np.random.default_rng(4).standard_normal(LAYOUT.num_params).astype(np.float32)
    return TorchWorkbench(Network, INPUT_SHAPE, NUM_CLASSES, root, lambda model, at: np.float32(at) * update)


FEW, MORE = 7, 2
"""Clients of a round, unless the chain needs more of them, and how many more there are."""


def hard_rounds(random: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Return rows of so many clients, by what is hard about them."""
    spread = random.standard_normal((size, LAYOUT.num_params))
    near = random.standard_normal(LAYOUT.num_params) + 1e-4 * random.standard_normal(spread.shape)
    attackers = np.arange(size) < size - 2
    return {
        "nothing": spread,
        "all equal": np.repeat(spread[:1], size, axis=0),
        "a huge row": np.where(np.arange(size)[:, None] == 1, 1e25 * spread, near),
        "all zero": np.zeros_like(spread),
        "nearly equal, small": 1e-3 * near,
        "one participant": spread[:1],
        "nearly equal, large": 1e3 * near,
        "zero rows": np.where(np.arange(size)[:, None] % 2, spread, 0),
        "a majority of attackers": np.where(attackers[:, None], -50 * near, near),
    }


ROUNDS, CUT_AFTER = 4, 2
"""Rounds of a run, and after how many of them another one goes on."""


class Given(Courier):
    """Hands over rows in memory that is used anew in each round."""

    def __init__(self) -> None:
        self.memory = np.zeros((100, LAYOUT.num_params), np.float32)
        self.received: Received | None = None

    def give(self, rows: np.ndarray, server_round: int, num_clients: int) -> None:
        size = len(rows)
        random = np.random.default_rng(server_round)
        self.memory[...] = np.nan
        self.memory[:size] = rows
        updates = self.memory[:size]
        updates.flags.writeable = False
        buffers = [
            [random.standard_normal(3, np.float32), random.random(3, np.float32), np.array(10 * server_round)]
            for _ in range(size)
        ]
        ids = np.sort(random.choice(num_clients, size, replace=False))
        steps = np.full(size, 10.0)
        self.received = Received(ids, updates, buffers, steps, 10 * steps, learning_rate=0.1)

    def prepare(self, server: Any) -> None: ...

    def ask(self, request: Any) -> list[Any]:
        return []

    def collect(self, server_round: int, replies: Any) -> Received:
        assert self.received is not None
        return self.received

    def close(self) -> None: ...


@dataclass
class Run:
    """A chain, and the model that its rounds move."""

    names: list[str]
    num_clients: int
    strategy: Chain
    model: list[np.ndarray]

    @classmethod
    def of(cls, names: list[str], strategy: Chain) -> "Run":
        size = max(FEW, strategy.required_clients)
        strategy.prepare(server(size))
        return cls(names, size + MORE, strategy, list(NETWORK.values()))

    def round(self, name: str, rows: np.ndarray, server_round: int) -> None:
        """Have the strategy move the model, and see that all is as it should be."""
        self.strategy.courier.give(rows, server_round, self.num_clients)
        at = server_round - self.strategy.rounds_before
        arrays, grid = ArrayRecord(self.model), SimpleNamespace()
        list(self.strategy.configure_train(at, arrays, ConfigRecord(), grid))
        moved, _ = self.strategy.aggregate_train(at, [])
        outcome, where = self.strategy.outcome, f"{' > '.join(self.names)}, round of {name}"
        if len(rows) < self.strategy.required_clients:
            assert moved is None and outcome.aggregation is None, where
            return
        self._check(outcome.aggregation, len(rows), where)
        assert (moved is None) == outcome.aggregation.filtered.all(), where
        if moved is not None:
            self.model = list(moved.to_numpy_ndarrays())
            self._check_model(where)

    @staticmethod
    def _check(result: Any, size: int, where: str) -> None:
        assert result.update.shape == (LAYOUT.num_params,) and result.update.dtype == np.float32, where
        assert np.isfinite(result.update).all(), where
        for values in (result.weights, result.clip_coefficients, result.filtered, result.flagged):
            assert values.shape == (size,), where
        assert (np.isfinite(result.clip_coefficients) & (result.clip_coefficients >= 0)).all(), where
        known = result.weights[~np.isnan(result.weights)]
        assert (known >= 0).all(), where
        if len(known) == size and not result.filtered.all():
            assert abs(known.sum() - 1) < 1e-12, where

    def _check_model(self, where: str) -> None:
        buffers = list(zip(*self.strategy.courier.received.buffers, strict=True))
        for tensor, array in zip(LAYOUT.tensors, self.model, strict=True):
            assert array.dtype == tensor.dtype and array.shape == tensor.shape, where
            assert np.isfinite(array).all(), f"{where}: {tensor.name}"
            if not tensor.is_parameter:
                sent = np.stack(buffers.pop(0))
                low, high = sent.min(axis=0), sent.max(axis=0)
                assert ((array >= low - 1e-6) & (array <= high + 1e-6)).all(), f"{where}: {tensor.name}"


def server(size: int) -> Any:
    return replace(server_of(size), layout=LAYOUT, partition_sizes=(), workbench=workbench())


def built(names: list[str]) -> Chain:
    # A bound of 1 clips most rows, but for those of the small rounds.
    return Chain([DEFENCES[name].build(1.0) for name in names], names=names, courier=Given())


def kinds(after: bool) -> list[str]:
    """Return one row of each class of steps that come before a rule, or after it."""
    found: dict[type, str] = {}
    for name, row in DEFENCES.items():
        step = row.build(1.0)
        if isinstance(step, Step) and isinstance(step, ModelStep) == after:
            found.setdefault(type(step), name)
    return list(found.values())


BEFORE, AFTER = kinds(after=False), kinds(after=True)

GROUPS = [
    (BEFORE[start : start + 3], AFTER[start // 3 :: -(-len(BEFORE) // 3)])
    for start in range(0, len(BEFORE), 3)
]
"""Steps that stand in a chain together: each rule meets each of them in few chains."""

SLOW = (PersistentDirection, FlowerStrategy)
"""Rules that take tenths of a second: one chain has to do."""


def chains(name: str) -> Iterator[tuple[list[str], Chain]]:
    """Yield chains in which the row meets each step, by the names of their steps."""
    slow = isinstance(DEFENCES[name].build(1.0), SLOW)
    for group, model_steps in [(["norm_clipping", "iqr_filter"], AFTER)] if slow else GROUPS:
        together = [*group, name, *model_steps]
        try:
            yield together, built(together)
        except ConfigError:
            # Not behind all of them, then behind each that leaves it rows enough that it knows.
            for step in group:
                with contextlib.suppress(ConfigError):
                    yield [step, name, *model_steps], built([step, name, *model_steps])


@pytest.fixture
def few_simulations(monkeypatch):
    monkeypatch.setattr(group_test, "NUM_DRAWS", group_test.DRAWS_AT_ONCE)


@pytest.mark.parametrize("name", DEFENCES)
def test_no_round_is_too_hard(name, few_simulations):
    place = -1
    for place, (names, strategy) in enumerate(chains(name)):
        whole = Run.of(names, strategy)
        check_limit(names, strategy.required_clients)
        rounds = list(hard_rounds(np.random.default_rng(2), whole.num_clients - MORE).items())
        # Other rounds for the next chain, and for the same steps with the next rule.
        first = list(DEFENCES).index(name) + place
        chosen = [rounds[(first + number) % len(rounds)] for number in range(ROUNDS)]
        check_going_on(whole, chosen)
    assert place >= 0, "no step leaves it anything to do"


def check_limit(names: list[str], needed: int) -> None:
    """See that a server which asks fewer clients than a chain needs is refused in one line."""
    if needed > 1:
        with pytest.raises(ConfigError) as error:
            built(names).prepare(server(needed - 1))
        assert "\n" not in str(error.value), names


def check_going_on(whole: Run, rounds: list[tuple[str, np.ndarray]]) -> None:
    """See that a run goes through the rounds, and so does one that takes it up half way if it remembers."""
    names, resumed, saved = whole.names, None, {}
    for server_round, (hard, rows) in enumerate(rounds, start=1):
        if server_round > CUT_AFTER and saved and resumed is None:
            kept, resumed = whole.strategy.state(), Run.of(names, built(names))
            resumed.model = whole.model
            resumed.strategy.restore(CUT_AFTER, saved)
        for one in (whole, resumed) if resumed else (whole,):
            one.round(hard, rows, server_round)
        if resumed:
            for once, twice in zip(whole.model, resumed.model, strict=True):
                np.testing.assert_array_equal(once, twice, err_msg=f"{names}, resumed, round of {hard}")
        elif server_round == CUT_AFTER:
            saved = {key: array.copy() for key, array in whole.strategy.state().items()}
    for key, array in kept.items() if resumed else ():
        np.testing.assert_array_equal(array, saved[key], err_msg=f"{names}: state {key} has changed")


@pytest.mark.parametrize("name", DEFENCES)
def test_in_a_strangers_app_with_participants_that_come_and_go(name, few_simulations):
    names = ["norm_clipping", name, "fed_avgm"]
    if issubclass(type(DEFENCES[name].build(1.0)), ModelStep):
        names = ["norm_clipping", "fed_avgm", name]
    steps = [DEFENCES[one].build(1.0) for one in names]
    chain = Chain(steps, names=names, num_steps=10, learning_rate=0.1, workbench=workbench())
    size = max(FEW, chain.required_clients)
    # Of a node that is away in a round nothing comes.
    away = {1: lambda message, reply: None if sent(message) == 2 else reply}
    grid = InProcess([0.1 * (place - 2) for place in range(size + 1)], spoil=away)
    found = run(chain, grid, NETWORK, num_rounds=3)
    for key, array in found.items():
        assert np.isfinite(array).all(), f"{names}: {key}"
    trained = {"fine_tuning", "fine_pruning", "nad"}  # whose steps count as well
    assert (found["norm.num_batches_tracked"] > 3) == (name in trained)
    assert found["norm.num_batches_tracked"] >= 3 and len(chain.outcome.updates.updates) == size + 1


def sent(message: Any) -> int:
    return int(message.content["config"]["server-round"])
