"""Persistent direction: clients that keep pulling the same way, round after round, are left out.

Within one round a careful attacker is hidden among benign clients; over rounds it is not, because several
attackers keep pulling in a direction that they share, while what benign clients share is the movement of
all. The rule takes signs of each client's deviations from the round's median (`strategies.signs`), remembers
them (`strategies.memory`), compares clients by products of signs of different rounds
(`strategies.similarity`), and asks whether some group is more alike, or one client more like itself, than
clients that pull independently ever are (`strategies.group_test`).

No update counts for more than one of median length: who wants to reach much has to come back, and who comes
back is compared.

Two samples of coordinates are looked at. In one all parameters count alike; there the largest layer rules. In
the other all tensors count alike, so that convolutions are heard beside a fully connected layer with most of
the parameters. Where attackers show depends on the data. In both samples clients are compared over all that
is remembered, and over what they did lately: who starts to attack late stands beside its own benign past.

False alarms. One half of `false_alarm_rate` is spent early: the j-th look at the similarities may be wrong
with a probability of 1 / (j (j + 1)) of it, which sums to all of it. The other half is shared out evenly
among the rounds of the run. What a look may spend is shared out evenly among its tests.

Assumptions. Fewer than half of the clients attack. Several attackers share a direction; a single one is more
persistent than benign clients are. Benign clients' own directions are independent of each other and about
equally strong. Label skew makes some of them alike; the test takes that for their usual spread, so that it
keeps its false alarms and loses its power. ``docs/defence.md`` says how far.

Cost, with n clients, s remembered updates a client and m coordinates in both samples: n² s m products a
round, and n s m bytes and 2 (n s)² numbers of memory. Nothing grows with the model, except under
``take_back``, which keeps n updates.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fl_backdoor.errors import ConfigError
from fl_backdoor.seeding import Purpose, generator
from fl_backdoor.types import ClientMask, ClientVector, ParameterVector
from strategies.base import (
    Aggregation,
    ClientUpdates,
    Federation,
    RobustStrategy,
    clipped_mean,
    mean_of,
    nothing_of,
)
from strategies.clip_avg import clip_coefficients
from strategies.contributions import Contributions
from strategies.group_test import FEWEST_CLIENTS, most_alike, most_persistent
from strategies.memory import Memory
from strategies.signs import MOST_COORDINATES, deviation_signs, parameters_alike, tensors_alike
from strategies.similarity import FEWEST_TERMS, Similarities, similarities

log = logging.getLogger("fl_backdoor")

Response = Literal["take_back", "leave_out", "clip"]
Probability = Annotated[float, Field(gt=0, lt=1)]


class PersistentDirection(RobustStrategy):
    """The mean without the clients that share a persistent direction.

    Parameters
    ----------
    federation
        What the server knows of the run.
    false_alarm_rate
        Largest probability that anybody is flagged in a whole run in which nobody attacks, as far as the
        simulated federations are like it.
    response
        What happens to flagged clients, for good. ``take_back``: they have no weight, and what they had moved
        the model by is replaced by what the others' mean would have; for that one update a client is kept.
        ``leave_out``: they have no weight. ``clip``: they keep it, and as everybody's their updates are
        clipped to the median norm of those that are not flagged.
    num_coordinates
        How many of the model's parameters each of the two samples has, drawn from the run's seed.
    span
        How many of each client's last updates are remembered.

    Raises
    ------
    ConfigError
        If there are fewer than `FEWEST_CLIENTS` clients.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        false_alarm_rate: Probability = 0.01,
        response: Response = "take_back",
        num_coordinates: Annotated[int, Field(ge=1, le=MOST_COORDINATES)] = 16_384,
        span: Annotated[int, Field(ge=FEWEST_TERMS)] = 16,
    ) -> None:
        super().__init__(federation)
        num_clients = len(federation.partition_sizes)
        if num_clients < FEWEST_CLIENTS:
            allowed = f"{type(self).__name__} compares at least {FEWEST_CLIENTS} clients"
            raise ConfigError("partition.num_clients", num_clients, allowed)
        self.false_alarm_rate = false_alarm_rate
        self.response = response
        self.span = span
        random = generator(federation.seed, Purpose.MONITORED_COORDINATES)
        self.samples = {
            "parameters": parameters_alike(federation.layout, num_coordinates, random),
            "tensors": tensors_alike(federation.layout, num_coordinates, random),
        }
        self.memories = {name: Memory.empty(len(places)) for name, places in self.samples.items()}
        self.num_looks = 0
        self.is_flagged = np.zeros(num_clients, dtype=np.bool_)
        self.contributed: Contributions | None = None

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean of the clipped updates of clients that are not flagged; of nobody's, if all are."""
        trusted = ~self.is_flagged[clients.client_ids]
        for name, places in self.samples.items():
            signs = deviation_signs(clients.updates, places, trusted)
            memory = self.memories[name]
            self.memories[name] = memory.after(clients.server_round, clients.client_ids, signs, self.span)
        self._look(clients.server_round)
        flagged = self.is_flagged[clients.client_ids]
        coefficients = _clipped_to_median(clients.norms, flagged)
        if self.response == "clip":
            return clipped_mean(clients, coefficients, flagged)
        if flagged.all():
            return nothing_of(clients)
        aggregation = mean_of(clients, ~flagged, coefficients)
        if self.response == "take_back":
            return replace(aggregation, update=self._replaced(clients, aggregation))
        return aggregation

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what is remembered, the number of looks, who is flagged, and what clients contributed."""
        remembered = {
            f"{name}.{key}": array
            for name, memory in self.memories.items()
            for key, array in memory.as_arrays().items()
        }
        looks = {"num_looks": np.array(self.num_looks), "is_flagged": self.is_flagged}
        contributed = self.contributed.as_arrays() if self.contributed else {}
        return remembered | looks | contributed

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, with what `state` returned then."""
        super().restore(server_round, state)
        for name in self.memories:
            mine = {key.removeprefix(f"{name}."): array for key, array in state.items()}
            self.memories[name] = Memory.from_arrays(mine)
        self.num_looks = int(state["num_looks"])
        self.is_flagged = state["is_flagged"].astype(np.bool_)
        self.contributed = Contributions.from_arrays(state) if "moved_by" in state else None

    def _look(self, server_round: int) -> None:
        """Flag whoever stands out among the clients that are known by now."""
        compared = [view for memory in self.memories.values() for view in _views(similarities(memory))]
        random = generator(self.federation.seed, Purpose.SIMULATED_FEDERATIONS, server_round)
        found = [suspects for everybody in compared for suspects in self._suspects(everybody, random)]
        if not found:
            return
        self.num_looks += 1
        allowed = self.false_alarm_rate * share(self.num_looks, self.federation.num_rounds) / len(found)
        for client_ids, probability in found:
            if probability <= allowed:
                self._flag(client_ids, server_round, probability)

    def _suspects(
        self, everybody: Similarities, random: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int64], float]]:
        """Yield who stands out in each test, and how probable that is by chance."""
        others = everybody.of(np.flatnonzero(~self.is_flagged))
        if len(others.client_ids) < FEWEST_CLIENTS:
            return
        tested = [(others, most_alike(others, random)), (others, most_persistent(others))]
        if len(others.client_ids) < len(everybody.client_ids):
            # Who belongs to those that are flagged stands out beside them alone.
            tested.append((everybody, most_alike(everybody, random)))
        for similar, group in tested:
            yield similar.client_ids[group.members], group.probability

    def _flag(self, client_ids: NDArray[np.int64], server_round: int, probability: float) -> None:
        """Flag clients for good, unless half of those that were seen would be flagged."""
        flagged = self.is_flagged.copy()
        flagged[client_ids] = True
        new = np.flatnonzero(flagged & ~self.is_flagged)
        if len(new) == 0 or 2 * flagged.sum() >= len(np.unique(self.memories["tensors"].client_ids)):
            return
        names = ", ".join(map(str, new))
        log.info("round %d: clients %s are flagged, p = %.1e", server_round, names, probability)
        self.is_flagged = flagged

    def _replaced(self, clients: ClientUpdates, aggregation: Aggregation) -> ParameterVector:
        """Return the movement with what flagged clients had contributed replaced by the others' mean."""
        contributed = self.contributed or Contributions.none(len(self.is_flagged), clients.updates.shape[1])
        correction, contributed = contributed.without(self.is_flagged)
        self.contributed = contributed.after(clients, aggregation)
        return aggregation.update + correction


def share(look: int, num_rounds: int) -> float:
    """Return what part of the false alarms of a run of `num_rounds` its n-th look may spend, in (0, 1]."""
    return (1 / (look * (look + 1)) + 1 / num_rounds) / 2


def _views(everybody: Similarities) -> list[Similarities]:
    """Return what clients did so far and, once that is more, what they did lately."""
    recent = everybody.recent()
    return [everybody, recent] if len(recent.owners) < len(everybody.owners) else [everybody]


def _clipped_to_median(norms: ClientVector, flagged: ClientMask) -> ClientVector:
    """Return coefficients under which no update is longer than the median of those that are not flagged."""
    others = norms if flagged.all() else norms[~flagged]
    return clip_coefficients(norms, float(np.median(others)))
