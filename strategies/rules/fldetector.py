"""FLDetector: clients whose updates do not follow from their last ones are left out for good.

Z. Zhang, X. Cao, J. Jia and N. Z. Gong, FLDetector: Defending Federated Learning Against Model Poisoning
Attacks via Detecting Malicious Clients, KDD 2022, https://arxiv.org/abs/2207.09209. From the models and the
mean updates of the last N rounds L-BFGS estimates the Hessian H; client i should send its last update plus
H·(w_t - w_(t-1)). The distance from that, divided by the sum over clients, is averaged over N rounds: its
suspicious score. Where the gap statistic sees more than one group of scores, k-means makes two of them, and
the group with the higher mean is taken for malicious. N = 10.

Deviations: the paper starts the training anew without whom it has found, here they are left out from this
round on; H is used from the third round on with as many rounds as there are, and scores are judged after N of
them; directions along which the model has hardly moved are dropped from L-BFGS, whose matrix would be
singular.

It assumes that all clients take part in each round, and is told so in one line if they do not. Cost: three
passes over the updates, and the memory of each client's last update, n·d numbers, and of 2N vectors, in the
checkpoint as well.
"""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.core.types import ClientVector, ParameterVector, PositiveCount
from strategies.base import Aggregation, ClientUpdates, ServerContext, mean_of, nothing_of
from strategies.numerics.groups import k_means, number_of_groups
from strategies.numerics.lbfgs import hessian_product
from strategies.numerics.linear import distances_between
from strategies.robust_strategy import RobustStrategy, StrategyArguments

FEWEST_JUDGED = 3
"""Of fewer clients nobody can say who is unlike the others."""

STEPS, CHANGES, MODEL, MEAN = "steps", "changes", "model", "mean"
UPDATES, CLIENT_IDS, SCORES, FOUND = "updates", "client_ids", "scores", "found"


class FLDetector(RobustStrategy):
    """The mean without clients whose updates could not be foretold; they are filtered and flagged.

    Parameters
    ----------
    window
        N, how many rounds are remembered, and how many must have been scored before anybody is judged.
    most_groups
        Of scores, that the gap statistic looks for.
    flower
        What every rule takes beside its settings, see `RobustStrategy`.
    """

    knows_clients = True

    def __init__(
        self,
        *,
        window: PositiveCount = 10,
        most_groups: PositiveCount = 7,
        **flower: Unpack[StrategyArguments],
    ) -> None:
        super().__init__(**flower)
        self.window = window
        self.most_groups = most_groups
        self._past: dict[str, NDArray[Any]] = {}

    def prepare(self, server: ServerContext) -> None:
        """Refuse a server that does not ask all clients in each round; raises ConfigError."""
        participants, num_clients = server.participants_per_round, len(server.partition_sizes)
        if participants is not None and participants < num_clients:
            allowed = f"FLDetector needs all {num_clients} clients in each round"
            raise ConfigError("clients_per_round", participants, allowed)
        super().prepare(server)

    def aggregate(self, clients: ClientUpdates) -> Aggregation:
        """Return the mean over whom no round has found out."""
        model = self.server.layout.vector(clients.model)
        scores = self._scores(clients, model)
        found = self._found(clients, scores)
        keep = ~np.isin(clients.client_ids, found)
        aggregation = mean_of(clients, keep) if keep.any() else nothing_of(clients)
        self._past = {
            **self._pairs(model, aggregation.update),
            MODEL: model,
            MEAN: aggregation.update,
            UPDATES: clients.updates.copy(),
            CLIENT_IDS: clients.client_ids,
            SCORES: scores,
            FOUND: found,
        }
        return aggregation

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the rounds that are remembered, and who was found out."""
        return super().state() | self._past

    def restore(self, server_round: int, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take them back."""
        super().restore(server_round, state)
        names = (STEPS, CHANGES, MODEL, MEAN, UPDATES, CLIENT_IDS, SCORES, FOUND)
        self._past = {name: state[name] for name in names if name in state}

    def _pairs(self, model: ParameterVector, mean: ParameterVector) -> dict[str, NDArray[Any]]:
        """Return the last N steps of the model, and how the mean update changed with each, a row each."""
        if MODEL not in self._past:
            nothing = np.zeros((0, len(model)), dtype=np.float32)
            return {STEPS: nothing, CHANGES: nothing}
        step, change = model - self._past[MODEL], mean - self._past[MEAN]
        return {
            name: np.concatenate([self._past[name], new[None]])[-self.window :]
            for name, new in ((STEPS, step), (CHANGES, change))
        }

    def _scores(self, clients: ClientUpdates, model: ParameterVector) -> NDArray[np.float64]:
        """Return each client's last N normalised errors, ``(n_clients, n_scored)``, NaN where it has none."""
        errors = np.full(len(clients.client_ids), np.nan)
        if len(self._past.get(STEPS, ())):
            errors = self._errors(clients, model)
        scored = np.full((len(errors), self.window), np.nan)
        if SCORES in self._past:
            mine, theirs = _shared(clients.client_ids, self._past[CLIENT_IDS])
            scored[mine] = self._past[SCORES][theirs]
        return np.column_stack([scored[:, 1:], errors])

    def _errors(self, clients: ClientUpdates, model: ParameterVector) -> ClientVector:
        """Return how far each update is from what was expected, over the sum; NaN of whom nothing was."""
        turn = hessian_product(self._past[STEPS], self._past[CHANGES], model - self._past[MODEL])
        mine, theirs = _shared(clients.client_ids, self._past[CLIENT_IDS])
        errors = np.full(len(clients.client_ids), np.nan)
        if not len(mine):
            return errors
        known = clients.updates if len(mine) == len(errors) else clients.updates[mine]
        errors[mine] = distances_between(known, self._past[UPDATES], theirs, turn)
        total = np.nansum(errors)
        return errors / total if total > 0 else errors

    def _found(self, clients: ClientUpdates, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the ids of all clients that were found out so far."""
        found = self._past.get(FOUND, np.zeros(0, dtype=np.int64))
        judged = np.flatnonzero(~np.isnan(scores).any(axis=1) & ~np.isin(clients.client_ids, found))
        if len(judged) < FEWEST_JUDGED:
            return found
        suspicious = scores[judged].mean(axis=1)[:, None]
        random = generator(self.server.seed, Purpose.CLIENT_GROUPS, clients.server_round)
        if number_of_groups(suspicious, self.most_groups, random) == 1:
            return found
        labels = k_means(suspicious, 2, int(random.integers(2**32)))
        worst = max(np.unique(labels), key=lambda label: float(suspicious[labels == label].mean()))
        return np.sort(np.concatenate([found, clients.client_ids[judged[labels == worst]]]))


def _shared(ids: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where clients that are in both lists are in each."""
    _, mine, theirs = np.intersect1d(ids, others, return_indices=True)
    return mine, theirs
