"""Persistent direction: clients that keep pulling the same way, round after round, are left out.

Within one round a careful attacker is hidden among benign clients; over rounds it is not, because several
attackers keep pulling in a direction that they share, while what benign clients share is the movement of
all. The rule takes signs of each client's deviations from the round's median (`strategies.signs`), remembers
them (`strategies.memory`), compares clients by products of signs of different rounds
(`strategies.similarity`), and asks whether some group is more alike, or one client more like itself, than
clients that pull independently ever are (`strategies.group_test`).

No update counts for more than one of median length: who wants to reach much has to come back, and who comes
back is compared.

False alarms. `false_alarm_rate` is shared out evenly among the rounds from the third on, the first in which
anybody is known, and in each of them evenly among its two or three tests.

Assumptions. Fewer than half of the clients attack. Several attackers share a direction; a single one is more
persistent than benign clients are. Benign clients' own directions are independent of each other and about
equally strong. Label skew makes some of them alike; the test takes that for their usual spread, so that it
keeps its false alarms and loses its power. ``docs/defence.md`` says how far.

Cost, with n clients, s remembered updates a client and m coordinates: n² s m products a round, and n s m
bytes and (n s)² numbers of memory. Nothing grows with the model, except under ``take_back``, which keeps n
updates.
"""

import logging
from collections.abc import Mapping
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
from strategies.signs import MOST_COORDINATES, deviation_signs, sample_coordinates
from strategies.similarity import FEWEST_TERMS, similarities

log = logging.getLogger("fl_backdoor")

Response = Literal["leave_out", "clip", "take_back"]
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
        What happens to flagged clients, for good. ``leave_out``: they have no weight. ``clip``: they keep it,
        and as everybody's their updates are clipped to the median norm of those that are not flagged.
        ``take_back``: they have no weight, and what they had moved the model by is replaced by what the
        others' mean would have.
    num_coordinates
        How many of the model's parameters are looked at, drawn from the run's seed, of each tensor as many.
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
        response: Response = "leave_out",
        num_coordinates: Annotated[int, Field(ge=1, le=MOST_COORDINATES)] = 32_768,
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
        self.coordinates = sample_coordinates(federation.layout, num_coordinates, random)
        self.memory = Memory.empty(len(self.coordinates))
        self.is_flagged = np.zeros(num_clients, dtype=np.bool_)
        self.contributed: Contributions | None = None

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean of the clipped updates of clients that are not flagged; of nobody's, if all are."""
        trusted = ~self.is_flagged[clients.client_ids]
        signs = deviation_signs(clients.updates, self.coordinates, trusted)
        self.memory = self.memory.after(clients.server_round, clients.client_ids, signs, self.span)
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
        """Return what is remembered, who is flagged, and what clients contributed."""
        contributed = self.contributed.as_arrays() if self.contributed else {}
        return self.memory.as_arrays() | {"is_flagged": self.is_flagged} | contributed

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, with what `state` returned then."""
        super().restore(server_round, state)
        self.memory = Memory.from_arrays(state)
        self.is_flagged = state["is_flagged"].astype(np.bool_)
        self.contributed = Contributions.from_arrays(state) if "moved_by" in state else None

    def _look(self, server_round: int) -> None:
        """Flag whoever stands out among the clients that are known by now."""
        everybody = similarities(self.memory)
        others = everybody.of(np.flatnonzero(~self.is_flagged))
        if len(others.client_ids) < FEWEST_CLIENTS:
            return
        random = generator(self.federation.seed, Purpose.SIMULATED_FEDERATIONS, server_round)
        found = [(others, most_alike(others, random)), (others, most_persistent(others))]
        if len(others.client_ids) < len(everybody.client_ids):
            # Who belongs to those that are flagged stands out beside them alone.
            found.append((everybody, most_alike(everybody, random)))
        allowed = self.false_alarm_rate / (self.federation.num_rounds - FEWEST_TERMS + 1) / len(found)
        for similar, group in found:
            if group.probability <= allowed:
                self._flag(similar.client_ids[group.members], server_round, group.probability)

    def _flag(self, client_ids: NDArray[np.int64], server_round: int, probability: float) -> None:
        """Flag clients for good, unless half of those that were seen would be flagged."""
        flagged = self.is_flagged.copy()
        flagged[client_ids] = True
        new = np.flatnonzero(flagged & ~self.is_flagged)
        if len(new) == 0 or 2 * flagged.sum() >= len(np.unique(self.memory.client_ids)):
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


def _clipped_to_median(norms: ClientVector, flagged: ClientMask) -> ClientVector:
    """Return coefficients under which no update is longer than the median of those that are not flagged."""
    others = norms if flagged.all() else norms[~flagged]
    return clip_coefficients(norms, float(np.median(others)))
