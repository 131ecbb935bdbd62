"""Several defences one after the other: steps before a rule, the rule, steps after it.

>>> from strategies import Chain, NNM, MultiKrum, NormClipping, WeakNoise
>>> strategy = Chain([NormClipping(), NNM(num_malicious=2), MultiKrum(num_malicious=2), WeakNoise()])

A chain is a strategy like any other. What it says of a client is what its steps say together: weights and
clip coefficients are multiplied, and whom any step leaves out, or takes for malicious, is left out, or
flagged (`strategies.chain.rows`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from itertools import chain, count
from typing import Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core import chains
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import ModelArrays
from strategies.base import Aggregation, ClientUpdates, ServerContext, Voters
from strategies.chain.inner_courier import InnerCourier
from strategies.chain.kinds import ModelStep, Step, UpdateStep
from strategies.chain.rows import ChainAggregation, Rows
from strategies.robust_strategy import RobustStrategy, StrategyArguments
from strategies.workbench import Needs

log = logging.getLogger("fl_backdoor")

MOST_CLIENTS = 10_000
"""A chain that so many clients do not suffice for can never work."""


class Chain(RobustStrategy):
    """Steps, of which at most one is a rule; without a rule the weighted mean stands in its place.

    Buffers are merged as the rule does, without one as the step that chose last, else by their median.

    Parameters
    ----------
    steps
        In order. They belong to the chain then, which asks clients and moves the model.
    names
        Of the steps, at first their classes'; of a name that is there twice the second becomes ``name_2``.
        State and messages go by them.
    flower
        What every rule takes beside its settings, see `RobustStrategy`. What a step was told of clients'
        steps and learning rate, and its workbench, hold for the chain, unless its own settings say otherwise.

    Raises
    ------
    ConfigError
        If there are no steps, or they cannot work in this order.
    """

    def __init__(
        self,
        steps: Sequence[RobustStrategy],
        *,
        names: Sequence[str] | None = None,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        self.steps: dict[str, RobustStrategy] = {}
        for name, step in zip(names or [type(step).__name__ for step in steps], steps, strict=True):
            step.courier = InnerCourier()
            if isinstance(step, Step):
                step.occurrence = sum(type(other) is type(step) for other in self.steps.values())
            self.steps[_told_apart(name, self.steps)] = step
        self.rule = _rule(self.steps)
        self.judges_gradients = any(step.judges_gradients for step in steps)
        self.needs = max((step.needs for step in steps), key=get_args(Needs).index)
        for setting in ("num_steps", "learning_rate", "workbench"):
            known = [value for step in steps if (value := getattr(step, setting)) is not None]
            if known:
                flower.setdefault(setting, known[0])  # type: ignore[misc]  # one of three names
        super().__init__(**flower)
        self.required_clients = self._fewest_clients()

    @property
    def notices(self) -> list[str]:
        """What the user must not miss, a line each."""
        if self.rule is not None:
            return []
        steps = _listed(self.steps)
        return [f"{chains.KEY} = {steps}: no rule is among them, the weighted mean of updates is taken"]

    def prepare(self, server: ServerContext) -> None:
        """Have each step hear of the server; to it a round has as many clients as it is given rows.

        Raises
        ------
        ConfigError
            If a step cannot work there.
        """
        rows = server.participants_per_round
        for name, step in self.steps.items():
            with _blaming(name, server.participants_per_round, rows):
                step.prepare(replace(server, participants_per_round=rows))
            if rows is not None:
                rows = _rows_after(step, rows)
        super().prepare(server)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return what the steps make of the updates; nothing if they leave too few rows for one of them."""
        rows = Rows.of(clients)
        for name, step in self.steps.items():
            if rows.count < step.required_clients:
                log.warning(
                    "round %d keeps the model: %s is given %d rows, %d needed",
                    clients.server_round,
                    name,
                    rows.count,
                    step.required_clients,
                )
                return rows.dropped()
            if not isinstance(step, Step):
                return rows.combined(step)
            rows = step.apply(rows)
        return rows.mean() if rows.count else rows.dropped()

    def merge_buffers(self, values: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
        """Return what the rule, or the step that chose last, makes of its rows' buffers."""
        assert isinstance(aggregation, ChainAggregation)
        return aggregation.merged(values)

    def sent(self, model: ModelArrays) -> ModelArrays:
        """Return what the steps make of what clients are sent, one after the other."""
        for step in self.steps.values():
            model = step.sent(model)
        return model

    def finish(self, model: ModelArrays, clients: ClientUpdates, aggregation: Aggregation) -> ModelArrays:
        """Return what the steps make of the model, one after the other."""
        for step in self.steps.values():
            model = step.finish(model, clients, aggregation)
        return model

    def voters(self) -> Voters:
        """Return the voters of the step that has some; of several each one's stand for those before it."""
        return reduce(_and_then, [step.voters() for step in self.steps.values()])

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what each step remembers, under its name."""
        of_steps = {
            f"{name}.{key}": array for name, step in self.steps.items() for key, array in step.state().items()
        }
        return super().state() | of_steps

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, each step with what it remembered."""
        super().restore(server_round, state)
        for name, step in self.steps.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): array for key, array in state.items() if key.startswith(prefix)}
            step.restore(server_round, own)

    def _fewest_clients(self) -> int:
        """Return with how few clients each step may be given as many rows as it needs."""
        found = next((rows for rows in range(1, MOST_CLIENTS) if self._starving(rows) is None), None)
        if found is not None:
            return found
        name = self._starving(MOST_CLIENTS)
        allowed = f"the steps before {name} leave fewer rows than it needs, however many clients there are"
        raise ConfigError(chains.KEY, _listed(self.steps), allowed)

    def _starving(self, rows: int) -> str | None:
        """Return the first step that would be given too few rows if there were so many clients."""
        for name, step in self.steps.items():
            if rows < step.required_clients:
                return name
            rows = _rows_after(step, rows)
        return None


def _and_then(first: Voters, second: Voters) -> Voters:
    return lambda model: (voter for one in first(model) for voter in second(one))


def _rows_after(step: RobustStrategy, rows: int) -> int:
    return step.rows_after(rows) if isinstance(step, Step) else rows


@contextmanager
def _blaming(name: str, participants: int | None, rows: int | None) -> Iterator[None]:
    """Have an error say which step it is about, and why it is given so few rows."""
    try:
        yield
    except ConfigError as error:
        found = chains.of_step(error, name)
        if rows != participants:
            left = f"{found.allowed}: of {participants} clients the steps before {name} leave {rows} rows"
            found = ConfigError(found.key, found.value, left)
        raise found from error


def _told_apart(name: str, earlier: Mapping[str, RobustStrategy]) -> str:
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(candidate for candidate in names if candidate not in earlier)


def _rule(steps: Mapping[str, RobustStrategy]) -> RobustStrategy | None:
    """Return the rule among the steps, once it is seen that each stands where it can work."""
    if not steps:
        raise ConfigError(chains.KEY, "[]", "name at least one step")
    rule = after = groups = None
    for name, step in steps.items():
        if after is not None and not isinstance(step, ModelStep):
            allowed = f"after {after} there may only be steps that work on the model, {name} does not"
            raise ConfigError(chains.KEY, _listed(steps), allowed)
        if step.knows_clients and groups is not None:
            allowed = f"{name} knows clients by their ids, and {groups} before it puts several into a row"
            raise ConfigError(chains.KEY, _listed(steps), allowed)
        if isinstance(step, UpdateStep) and step.groups_clients:
            groups = name
        if not isinstance(step, Step):
            rule = step
        if not isinstance(step, Step) or isinstance(step, ModelStep):
            after = name
    return rule


def _listed(steps: Mapping[str, RobustStrategy]) -> str:
    return f"[{', '.join(steps)}]"
