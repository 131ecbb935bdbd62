"""Persistent direction: clients that keep pulling the same way, round after round, are left out.

Within one round a careful attacker is hidden among benign clients; over rounds it is not, because several
attackers keep pulling in a direction that they share, while what benign clients share is the movement of all.
The rule takes three short vectors of each client's deviation from the round's centre (`signs`, `sketch`),
remembers them (`memory`), compares clients by products of vectors of different rounds (`similarity`), and
asks whether some group is more alike, or one client more like itself, than clients that pull independently
ever are (`group_test`).

No update counts for more than one of median length, or each coordinate's median is taken: who wants to reach
much has to come back, and who comes back is compared. What it had reached until then is undone
(`mean_rollback`, `median_rollback`).

The vectors hear different things. Signs at a sample of parameters: there the largest layer rules. Signs at a
sample with as many of each tensor: convolutions are heard beside a fully connected layer with most of the
parameters. A sketch of the whole deviation: few coordinates that are moved far count, such as one word's
embedding. Where attackers show depends on the data. Each is looked at over all that is remembered, and over
what clients did lately: who starts to attack late stands beside its own benign past. Cubes of products are
asked as well, by which attackers that take turns are found: they are alike in few rounds, but much.

Proxy clients. A server with labelled samples of its own plays clients with all kinds of label shares in
each round; what sums of their updates explain of an update is taken out before it is compared (`label_skew`).
Under label skew attackers are hidden without that. What is left is compared by a fourth vector as well, signs
of sums over all weights into a neuron (`neurons`): there attackers meet that have no weight in common.

False alarms. `false_alarm_rate` is shared out evenly among the rounds of the run, and in each between the
test for a group and that for a single client. Looks at much the same updates are alike: less is spent.

Suspicion. Once a backdoor is open who has opened it stops pulling, and the evidence with it. With `suspicion`
clients that stand out less than that is enough for are left out of the one round: the backdoor stays shut,
attackers go on pulling, and in the next rounds they are found or forgotten.

Assumptions. Fewer than half of the clients attack. Several attackers share a direction; a single one is more
persistent than benign clients are. Benign clients' own directions are independent of each other and about
equally strong, but for what their numbers of samples and of rounds explain (`known_differences`), or proxies
clients. Without these label skew makes some of them alike; the test takes that for their usual spread, so
that it keeps its false alarms and loses its power. ``docs/defence.md`` says how far.

Cost, with n clients, s remembered updates a client and m coordinates of each of the three vectors: 3 n² s m
products a round, and 4 n s m bytes and 3 (n s)² numbers of memory. Nothing grows with the model but the
sketch, which reads each update once, and ``take_back`` and ``median``, which keep n updates. A proxy client
costs what training one costs, and 4 m numbers a stage.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientMask, ClientVector, UpdateMatrix
from strategies.base import (
    Aggregation,
    ClientUpdates,
    ServerContext,
    clipped_mean,
    mean_of,
    nothing_of,
    require_equal_weighting,
)
from strategies.numerics.clipping import clipped_to_median
from strategies.persistent_direction.group_test import FEWEST_CLIENTS, most_suspicious
from strategies.persistent_direction.known_differences import Known
from strategies.persistent_direction.label_skew import Short, apart_from, stacked
from strategies.persistent_direction.likeness import most_like
from strategies.persistent_direction.mean_rollback import MeanRollback
from strategies.persistent_direction.median_rollback import MedianRollback
from strategies.persistent_direction.memory import MOST_COORDINATES, Memory, Vectors
from strategies.persistent_direction.neurons import into_neurons, neurons_of
from strategies.persistent_direction.rollback import Rollback
from strategies.persistent_direction.signs import deviation_signs, parameters_alike, tensors_alike
from strategies.persistent_direction.similarity import FEWEST_TERMS, Similarities, similarities, views
from strategies.persistent_direction.sketch import Flips, deviations, random_flips, sketched
from strategies.robust_strategy import RobustStrategy, StrategyArguments
from strategies.rules.coordinate_rule import mixed
from strategies.rules.median import median

log = logging.getLogger("fl_backdoor")

Response = Literal["take_back", "leave_out", "median", "clip"]
Probability = Annotated[float, Field(gt=0, lt=1)]
Values = TypeVar("Values", ClientVector, ClientMask)
Found = tuple[NDArray[np.int64], float]
"""Who stands out in a test, and how probable that is by chance."""

ROLLBACK: dict[Response, type[Rollback]] = {"take_back": MeanRollback, "median": MedianRollback}


class PersistentDirection(RobustStrategy):
    """The mean without the clients that share a persistent direction.

    Of buffers the median over clients that are not left out is taken. What flagged clients did to them is
    not undone: each round replaces them.

    Parameters
    ----------
    false_alarm_rate
        Largest probability that anybody is flagged in a whole run in which nobody attacks, as far as the
        simulated federations are like it.
    suspicion
        Largest probability that anybody is left out of a single round without being flagged if nobody
        attacks, in [0, 1). Clients with few samples are alike by chance, and left out more often than that:
        unless proxy clients explain it, 0 is right.
    response
        What happens to flagged clients, for good. ``take_back``: they have no weight, and what they had moved
        the model by is replaced by what the others' mean would have, half of what is left of it in each
        round; for that one update a client is kept.
        ``leave_out``: they have no weight. ``median``: nor have others, from the first round on; the model
        moves by the coordinate-wise median of those that are not flagged, which bounds attackers that share
        no direction, and what flagged ones have shifted it by is made up for, by halves as well; one update a
        client is kept for that. ``clip``: they keep their weight, and as everybody's their updates are
        clipped to the median norm of those that are not flagged.
    num_coordinates
        How many coordinates each of the vectors that stand for an update has; that of neurons has no more
        than there are.
    span
        How many of each client's last updates are remembered.
    num_virtual
        How many clients the server plays in each round, if it has samples of its own
        (``server.root_samples``).
    num_stages
        In how many stages of its training each of them shows what it has learnt so far. What it knows
        half-way tells nearly as much as another client does, and costs next to nothing.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    knows_clients = True

    def __init__(
        self,
        *,
        false_alarm_rate: Probability = 0.01,
        suspicion: Annotated[float, Field(ge=0, lt=1)] = 0,
        response: Response = "take_back",
        num_coordinates: Annotated[int, Field(ge=1, le=MOST_COORDINATES)] = 16_384,
        span: Annotated[int, Field(ge=FEWEST_TERMS)] = 16,
        num_virtual: Annotated[int, Field(ge=1)] = 100,
        num_stages: Annotated[int, Field(ge=1)] = 4,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.false_alarm_rate = false_alarm_rate
        self.suspicion = suspicion
        self.response = response
        self.span = span
        self.num_coordinates = num_coordinates
        self.num_virtual = num_virtual
        self.num_stages = num_stages
        self.memories: dict[str, Memory] = {}
        self.num_samples = np.zeros(0)
        self.num_rounds = np.zeros(0)
        self.is_flagged = np.zeros(0, dtype=np.bool_)
        self.rollback: Rollback | None = None

    def prepare(self, server: ServerContext) -> None:
        """Draw the coordinates at which updates are compared.

        Raises
        ------
        ConfigError
            If there are known to be fewer than `FEWEST_CLIENTS` clients, if they are to be weighted for a
            median, if nobody knows among how many rounds false alarms are shared out, or if proxy clients
            are so many that they would explain any update.
        """
        self._refuse(server)
        super().prepare(server)
        random = generator(server.seed, Purpose.MONITORED_COORDINATES)
        self.samples = {
            "parameters": parameters_alike(server.layout, self.num_coordinates, random),
            "tensors": tensors_alike(server.layout, self.num_coordinates, random),
        }
        # Sums are few: what benign clients keep doing rules them, unless proxy clients explain it.
        summed = neurons_of(server.layout) if server.proxy_clients else Layout(())
        self.neurons = tensors_alike(summed, self.num_coordinates, random)
        empty = {name: Memory.empty(len(coordinates)) for name, coordinates in self.samples.items()}
        if len(self.neurons):
            empty["neurons"] = Memory.empty(len(self.neurons))
        empty["lengths"] = Memory.empty(self.num_coordinates, np.int16)
        self.memories = {name: self.memories.get(name, nothing) for name, nothing in empty.items()}
        unknown = server.partition_sizes[len(self.num_samples) :]
        self.num_samples = np.concatenate([self.num_samples, np.array(unknown, dtype=np.float64)])
        self._make_room(len(self.num_samples))

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean of the clipped updates, or the median, of who is not left out; 0 if all are."""
        self._make_room(int(clients.client_ids.max()) + 1)
        self.num_rounds = self.num_rounds + np.isin(np.arange(len(self.num_rounds)), clients.client_ids)
        self.num_samples = self.num_samples.copy()
        self.num_samples[clients.client_ids] = clients.num_examples
        for name, vectors in self._vectors(clients).items():
            memory = self.memories[name]
            self.memories[name] = memory.after(clients.server_round, clients.client_ids, vectors, self.span)
        left_out = self._look(clients.server_round)[clients.client_ids]
        if self.response == "clip":
            return clipped_mean(clients, clipped_to_median(clients.norms, ~left_out), left_out)
        if left_out.all():
            return nothing_of(clients)
        if self.response == "median":
            aggregation = mixed(median(clients.updates[~left_out]), left_out)
        else:
            aggregation = mean_of(clients, ~left_out, clipped_to_median(clients.norms, ~left_out))
        return self._undone(clients, aggregation)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what is remembered, who is flagged, and what there is to undo."""
        remembered = {
            f"{name}.{key}": array
            for name, memory in self.memories.items()
            for key, array in memory.as_arrays().items()
        }
        kept = self.rollback.as_arrays() if self.rollback else {}
        counted = {"num_samples": self.num_samples, "num_rounds": self.num_rounds}
        return super().state() | remembered | counted | {"is_flagged": self.is_flagged} | kept

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on after `server_round`, with what `state` returned then."""
        super().restore(server_round, state)
        for name in [key.removesuffix(".rounds") for key in state if key.endswith(".rounds")]:
            mine = {key.removeprefix(f"{name}."): array for key, array in state.items()}
            self.memories[name] = Memory.from_arrays(mine)
        self.is_flagged = state["is_flagged"].astype(np.bool_)
        self.num_samples = state["num_samples"].astype(np.float64)
        self.num_rounds = state["num_rounds"].astype(np.float64)
        if "owed" in state:
            self.rollback = ROLLBACK[self.response].from_arrays(state)

    def _refuse(self, server: ServerContext) -> None:
        """Refuse a server that the rule cannot work on, see `prepare`."""
        num_clients, explained = len(server.partition_sizes), 2 * self.num_stages
        if 0 < num_clients < FEWEST_CLIENTS:
            allowed = f"{type(self).__name__} compares at least {FEWEST_CLIENTS} clients"
            raise ConfigError("partition.num_clients", num_clients, allowed)
        if self.response == "median":
            require_equal_weighting(server, "strategy.response=median")
        if server.num_rounds is None:
            allowed = f"{type(self).__name__} shares out its false alarms among them: tell it with `prepare`"
            raise ConfigError("num_rounds", None, allowed)
        if server.proxy_clients and explained * self.num_virtual > self.num_coordinates:
            allowed = f"at most one in {explained} of strategy.num_coordinates = {self.num_coordinates}"
            raise ConfigError("strategy.num_virtual", self.num_virtual, allowed)

    def _make_room(self, num_clients: int) -> None:
        """See that each client has a place: in a Flower app they come when they like."""
        self.num_samples = _padded(self.num_samples, num_clients)
        self.num_rounds = _padded(self.num_rounds, num_clients)
        self.is_flagged = _padded(self.is_flagged, num_clients)

    def _vectors(self, clients: ClientUpdates) -> dict[str, Vectors]:
        """Return what stands for each update, a row a client."""
        trusted = ~self.is_flagged[clients.client_ids]
        flips = random_flips(clients.updates.shape[1], generator(self.server.seed, Purpose.SKETCH))
        short = self._short(clients.updates, flips)
        if play := self.server.proxy_clients:
            played = play(clients.model, clients.server_round, self.num_virtual, self.num_stages)
            proxies = stacked(self._short(update[None], flips) for update in played)
            short = apart_from(proxies, short, by="lengths")
        signed = [name for name in short if name != "lengths"]
        vectors: dict[str, Vectors] = {name: deviation_signs(short[name], trusted) for name in signed}
        return vectors | {"lengths": deviations(short["lengths"], trusted)}

    def _short(self, updates: UpdateMatrix, flips: Flips) -> Short:
        """Return samples, sums into neurons and a sketch of updates."""
        sampled = {name: updates[:, coordinates] for name, coordinates in self.samples.items()}
        if len(self.neurons):
            sampled["neurons"] = into_neurons(self.server.layout, updates)[:, self.neurons]
        return sampled | {"lengths": sketched(updates, flips, self.num_coordinates)}

    def _look(self, server_round: int) -> ClientMask:
        """Flag whoever stands out; return who is left out of this round, bool ``(num_clients,)``."""
        everybody = [view for memory in self.memories.values() for view in views(similarities(memory))]
        random = generator(self.server.seed, Purpose.SIMULATED_FEDERATIONS, server_round)
        found = self._most_suspicious(everybody, random)
        a_round = self.false_alarm_rate / (self.server.num_rounds or 1)
        self.is_flagged = self._joined(self.is_flagged, found, a_round, server_round, "flagged")
        return self._joined(self.is_flagged, found, self.suspicion, server_round, "suspected")

    def _most_suspicious(self, everybody: list[Similarities], random: np.random.Generator) -> list[Found]:
        """Return who stands out most in each test, and how probable that is by chance."""
        others = [view.of(np.flatnonzero(~self.is_flagged)) for view in everybody]
        trusted, seen = others[0].client_ids, everybody[0].client_ids
        if len(trusted) < FEWEST_CLIENTS:
            return []
        known = self._differences()
        found = [(trusted, group) for group in most_suspicious(others, known.of(trusted), random)]
        if len(trusted) < len(seen):
            found.append((seen, most_like(everybody, known.of(seen), self.is_flagged[seen], random)))
        return [(clients[group.members], group.probability) for clients, group in found]

    def _differences(self) -> Known:
        """Return in what clients are known to differ."""
        sizes = self.num_samples
        # Proxy clients have much or little of each class as well.
        numbers = np.ones_like(sizes) if self.server.proxy_clients else sizes
        coverage = np.array([self.server.coverage(size) for size in sizes.astype(int).tolist()])
        return Known(np.stack([numbers, self.num_rounds], axis=1), coverage)

    def _joined(
        self, left_out: ClientMask, found: list[Found], level: float, server_round: int, called: str
    ) -> ClientMask:
        """Return who is left out together with who stands out in a test, at a level shared among the tests.

        Nobody joins if half of the clients that were seen would be left out.
        """
        num_seen = np.count_nonzero(self.num_rounds)
        for client_ids, probability in found:
            joined = left_out.copy()
            joined[client_ids] = True
            new = np.flatnonzero(joined & ~left_out)
            if len(new) and probability <= level / len(found) and 2 * joined.sum() < num_seen:
                names = ", ".join(map(str, new))
                log.info("round %d: clients %s are %s, p = %.1e", server_round, names, called, probability)
                left_out = joined
        return left_out

    def _undone(self, clients: ClientUpdates, aggregation: Aggregation) -> Aggregation:
        """Return the aggregation and a step to where the model would be without flagged clients."""
        if self.response not in ROLLBACK:
            return aggregation
        num_params = clients.updates.shape[1]
        num_clients = len(self.is_flagged)
        rollback = self.rollback or ROLLBACK[self.response].none(num_clients, num_params)
        step, rollback = rollback.with_room(num_clients).without(self.is_flagged).step()
        self.rollback = rollback.after(clients, aggregation)
        return replace(aggregation, update=aggregation.update + step)


def _padded(values: Values, length: int) -> Values:
    return np.pad(values, (0, max(0, length - len(values))))
