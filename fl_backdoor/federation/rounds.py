"""Where a round's row is written: what came of its replies, its aggregation and its model."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from fl_backdoor.core.types import ClientMask, ParameterVector
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.courier import HostedClients
from fl_backdoor.federation.evaluation import Evaluation, Evaluator
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.replies import RoundReplies
from fl_backdoor.metrics import divergence
from fl_backdoor.metrics.by_class import Shares, client_accuracies, client_accuracy
from fl_backdoor.metrics.detection import detection
from strategies.base import ClientUpdates
from strategies.robust_strategy import RobustStrategy, RoundOutcome

log = logging.getLogger("fl_backdoor")

MOST_COMPARED = 200
"""Clients a round up to which all are compared with each other under every rule: the time grows with n²."""

Row = dict[str, object]
"""One line of a table, by column name."""


@dataclass(frozen=True)
class FinishedRound:
    """What a round came to.

    Parameters
    ----------
    row
        The round's own.
    clients
        A row for each client that was asked.
    class_accuracy
        Accuracy on test samples of each class, float64 ``(n_classes,)``; NaN: there are none.
    strategy
        What the strategy remembers, by name.
    shared_state
        What malicious clients have told each other.
    """

    row: Row
    clients: list[Row]
    class_accuracy: Shares
    strategy: Mapping[str, NDArray[np.generic]]
    shared_state: bytes


OnRound = Callable[[FinishedRound], None]


@dataclass
class Rounds:
    """Writes a round's row, and one for each client that was asked in it.

    Parameters
    ----------
    context
        What follows from the configuration.
    is_attacking
        From a client id and a round to whether that client really attacks in it.
    strategy, courier
        What they leave behind after a round is what the rows say.
    grid
        Knows how long clients were waited for.
    evaluator
        Evaluates the model of each round.
    on_round
        Is handed each round as soon as its model has been evaluated.
    """

    context: ExperimentContext
    is_attacking: Callable[[int, int], bool]
    strategy: RobustStrategy
    courier: HostedClients
    grid: StoppableGrid
    evaluator: Evaluator
    on_round: OnRound

    def finished_after_the_first(self, since_start: int, arrays: ArrayRecord) -> None:
        """Do the same, but for the model that this process began with: it was evaluated by an earlier one."""
        if since_start > 0:
            self.finished(since_start, arrays)

    def finished(self, since_start: int, arrays: ArrayRecord) -> None:
        """Have the model of a round evaluated, and report the round then.

        Flower counts rounds from where this process began.
        """
        started = time.perf_counter()
        row: Row = {"server_round": self.strategy.rounds_before + since_start}
        clients: list[Row] = []
        outcome, replies, remembered = self.strategy.outcome, self.courier.replies, self.strategy.state()
        if outcome is not None and replies is not None:
            # Now: the matrix of the updates belongs to the next round soon.
            clients = self._client_rows(outcome, replies)
            self._pass_on(outcome.server_round, replies)
            row |= self._round_summary(outcome, replies)
            row["train_seconds"] = self.grid.waited_seconds
            row["aggregate_seconds"] = started - self.grid.answered_at

        shared_state = self.courier.shared_state

        def report(found: Evaluation) -> None:
            served = client_accuracy(client_accuracies(found.by_class, self.context.label_counts))
            whole = row | asdict(found.figures) | asdict(served) | {"evaluate_seconds": found.seconds}
            whole["diverged"] = found.diverged or row.get("diverged")
            self.on_round(FinishedRound(whole, clients, found.by_class, remembered, shared_state))

        self.evaluator.start(arrays, report, shared_state, self.strategy.voters())

    def _pass_on(self, server_round: int, replies: RoundReplies) -> None:
        """See that malicious clients hear of each other: they would have ways of their own to do so."""
        sent_states = [reply.shared_state for reply in replies.usable]
        is_reached = not self.context.malicious_ids.isdisjoint(replies.asked)
        try:
            self.courier.shared_state = self.context.attack.merged_state(
                self.courier.shared_state, sent_states, self._sent_parameters if is_reached else None
            )
        except Exception:  # bytes from other machines, and a trigger may be anybody's plug-in
            log.exception("round %d: what malicious clients share cannot be merged", server_round)

    def _sent_parameters(self) -> ParameterVector:
        """Return the parameters of the model that clients were sent."""
        return self.context.layout.vector(self.strategy.model)

    def _round_summary(self, outcome: RoundOutcome, replies: RoundReplies) -> Row:
        aggregation = outcome.aggregation
        judged = [reply.client_id for reply in replies.usable] if aggregation else []
        nobody = np.zeros(0, dtype=np.bool_)
        filtered = aggregation.filtered if aggregation else nobody
        flagged = aggregation.flagged if aggregation else nobody
        clipped = aggregation.clip_coefficients < 1 if aggregation else nobody
        attacking, malicious = self._attacking(judged, outcome.server_round), self._malicious(judged)
        return {
            "diverged": divergence.of_replies(len(replies.usable), replies.rejected.values()),
            "model_updated": aggregation is not None and not filtered.all(),
            "num_participants": len(replies.asked),
            "num_replies": len(replies.usable),
            "num_rejected": len(replies.rejected),
            "num_malicious": int(self._attacking(replies.asked, outcome.server_round).sum()),
            "num_filtered": int(filtered.sum()),
            "num_clipped": int(clipped.sum()),
            "num_flagged": int(flagged.sum()),
            **asdict(detection(flagged, attacking, malicious)),
            "learning_rate": self.context.learning_rate(outcome.server_round),
        }

    def _client_rows(self, outcome: RoundOutcome, replies: RoundReplies) -> list[Row]:
        used = {reply.client_id: row for row, reply in enumerate(replies.usable)}
        return [
            {
                "server_round": outcome.server_round,
                "client_id": client_id,
                "malicious": client_id in self.context.malicious_ids,
                "attacking": self.is_attacking(client_id, outcome.server_round),
                "rejected": replies.rejected.get(client_id),
                **(_usable_row(outcome, replies, used[client_id]) if client_id in used else {}),
            }
            for client_id in replies.asked
        ]

    def _attacking(self, client_ids: Iterable[int], server_round: int) -> ClientMask:
        return np.array(
            [self.is_attacking(client_id, server_round) for client_id in client_ids],
            dtype=np.bool_,
        )

    def _malicious(self, client_ids: Iterable[int]) -> ClientMask:
        """Return who is malicious, attacking in this round or not; nobody in a run without attack."""
        named = self.context.malicious_ids if self.context.config.attacks else frozenset[int]()
        return np.array([client_id in named for client_id in client_ids], dtype=np.bool_)


def _usable_row(outcome: RoundOutcome, replies: RoundReplies, row: int) -> Row:
    """Return what is known of the client in row `row` of the update matrix."""
    reply, clients, aggregation = replies.usable[row], outcome.updates, outcome.aggregation
    claims: Row = {
        "num_examples": reply.num_examples,
        "num_steps": reply.num_steps,
        "train_loss": reply.train_loss,
        "train_seconds": reply.train_seconds,
        "cpu_seconds": reply.cpu_seconds,
    }
    if clients is None or aggregation is None:
        return claims
    return claims | {
        "update_norm": float(clients.norms[row]),
        "gradient_norm": None if math.isnan(clients.learning_rate) else float(clients.gradient_norms[row]),
        "mean_distance": float(clients.mean_distances[row]) if _knows_distances(clients) else None,
        "weight": float(aggregation.weights[row]),
        "clip_coefficient": float(aggregation.clip_coefficients[row]),
        "filtered": bool(aggregation.filtered[row]),
        "flagged": bool(aggregation.flagged[row]),
    }


def _knows_distances(clients: ClientUpdates) -> bool:
    """Return whether mean distances are recorded: where the rule has worked them out, or they are cheap."""
    return "squared_distances" in vars(clients) or len(clients.updates) <= MOST_COMPARED
