"""One experiment on the server: rounds, evaluation after each, and a row of results for each."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property, partial

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from fl_backdoor import __version__
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.config.metric_settings import for_clients
from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.progress import OnStep, tell_nobody
from fl_backdoor.core.types import ClientMask
from fl_backdoor.data.fingerprint import fingerprint
from fl_backdoor.federation.context import World
from fl_backdoor.federation.courier import HostedClients
from fl_backdoor.federation.evaluation import Evaluator
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.invitation import Invitation
from fl_backdoor.federation.participants import draw
from fl_backdoor.federation.replies import RoundReplies
from fl_backdoor.federation.transport import segment
from fl_backdoor.federation.transport.ways import Way
from fl_backdoor.federation.virtual_clients import VirtualClients
from fl_backdoor.metrics import divergence
from fl_backdoor.metrics.backdoor import BackdoorFigures
from fl_backdoor.metrics.detection import detection
from fl_backdoor.models.factory import load_arrays, named_arrays, state_arrays
from fl_backdoor.runs.checkpoint import Checkpoint
from strategies.base import ClientUpdates, ServerContext
from strategies.robust_strategy import RobustStrategy, RoundOutcome

log = logging.getLogger("fl_backdoor")

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
    strategy
        What the strategy remembers, by name.
    notes
        What malicious clients have told each other.
    """

    row: Row
    clients: list[Row]
    strategy: Mapping[str, NDArray[np.generic]]
    notes: bytes


OnRound = Callable[[FinishedRound], None]

MOST_OF_TARGET_CLASS = 0.5
"""Of the attackers' samples: with more the user is told."""

MOST_COMPARED = 200
"""Clients a round up to which all are compared with each other under every rule: the time grows with n²."""


class Experiment:
    """A checked configuration, ready to run on any grid.

    Parameters
    ----------
    config
        Checked, its data set resolved.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config
        self.world = World(config)
        attack = config.attack
        self.malicious = self.world.malicious_ids
        self.schedule = Schedule(attack.first_round, attack.last_round, attack.every)

    def run(
        self,
        grid: StoppableGrid,
        on_round: OnRound,
        after: Checkpoint | None = None,
        on_step: OnStep = tell_nobody,
    ) -> None:
        """Train for all rounds; `on_round` is called with the initial model as round 0 and after each round.

        The model of a round is evaluated while the next one trains: `on_round` is called from a thread of
        its own, once at a time and in order; `on_step` is told meanwhile how far nodes and virtual clients
        are. With a checkpoint only the rounds `after` it are run.

        Raises
        ------
        Stopped
            If the run was asked to end; the rounds that `on_round` has seen are complete.
        NobodyAnswers
            If that is so for too many rounds; the same holds.
        """
        sizes = tuple(len(indices) for indices in self.world.partition)
        grid.invite(self.invitation, len(sizes))
        grid.on_step = on_step
        virtual = VirtualClients(self.config, sizes, grid.idle_cores(), grid.wait, on_step)
        courier = courier_of(self.config, self.participants)
        strategy = build_strategy(self.config, self.world.layout, sizes, virtual, courier)
        if after is not None:
            load_arrays(self.world.model, [after.model[tensor.name] for tensor in self.world.layout.tensors])
            strategy.restore(after.progress.server_round, after.strategy)
            courier.notes = after.notes
        with closing(virtual), closing(strategy), Evaluator(self.world) as evaluator:
            rounds = _Rounds(self, strategy, courier, grid, evaluator, on_round)
            strategy.start(
                grid,
                ArrayRecord(state_arrays(self.world.model)),
                num_rounds=self.config.num_rounds - strategy.rounds_before,
                timeout=self.config.server.round_timeout_seconds,
                evaluate_fn=rounds.finished if after is None else rounds.finished_after_the_first,
            )

    def invitation(self) -> Invitation:
        """Return what nodes on other machines must have in common with this run."""
        world = self.world
        return Invitation(for_clients(self.config), __version__, fingerprint(world.dataset, world.data))

    def model(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the model that was evaluated last, by name; before that the one that round 1 starts from."""
        return named_arrays(self.world.model)

    def is_attacking(self, client_id: int, server_round: int) -> bool:
        """Return whether a client really attacks in a round; only metrics ask."""
        if not self.config.attacks or client_id not in self.malicious:
            return False
        full_batch = self.config.client.full_batch(len(self.world.partition[client_id]))
        return self.config.attack.does_harm(full_batch) and self.schedule.is_active(
            server_round, self.world.place_of(client_id)
        )

    def participants(self, server_round: int) -> list[int]:
        """Draw who takes part in a round, sorted."""
        config, certain = self.config, list[int]()
        if config.attack.participation == "fixed":
            certain = [
                client_id for client_id in self.malicious if self.is_attacking(client_id, server_round)
            ]
        num_clients, num_drawn = config.partition.num_clients, config.participants_per_round
        return draw(num_clients, num_drawn, config.seed, server_round, certain)

    @property
    def notices(self) -> list[str]:
        """What the user must not miss of who takes part and what they hold, a line each."""
        found = list(self.world.notices)
        if self.config.attacks and not any(map(self._is_attacked, range(1, self.config.num_rounds + 1))):
            found.append(
                "nobody attacks in this run: in no round does a malicious client take part whose turn it is "
                "and that has samples enough to poison any; see attack, clients_per_round, partition and seed"
            )
        if (share := self.stamped_of_target_class) is not None and share > MOST_OF_TARGET_CLASS:
            found.append(
                f"{share:.0%} of the attackers' samples are of class {self.config.attack.target_label} "
                "anyway, the target: to stamp those poisons nothing; see attack.target_label and partition"
            )
        return found

    @cached_property
    def stamped_of_target_class(self) -> float | None:
        """Which share of the attackers' samples is of the target class; None: they stamp none.

        What they stamp is drawn from all of them: about this share of it keeps its label.
        """
        config, world = self.config, self.world
        held = [world.partition[client_id] for client_id in sorted(self.malicious)]
        stamping = [rows for rows in held if config.attack.num_stamped(config.client.full_batch(len(rows)))]
        if not stamping:
            return None
        return float(np.mean(world.data.train.labels[np.concatenate(stamping)] == config.attack.target_label))

    def _is_attacked(self, server_round: int) -> bool:
        return any(
            self.is_attacking(client_id, server_round) for client_id in self.participants(server_round)
        )


def courier_of(
    config: ExperimentConfig, participants: Callable[[int], list[int]] | None = None
) -> HostedClients:
    """Return who carries messages between strategy and clients; without `participants` they are drawn."""
    num_clients, num_drawn = config.partition.num_clients, config.participants_per_round
    return HostedClients(
        experiment=for_clients(config),
        client=config.client,
        participants=participants or partial(draw, num_clients, num_drawn, config.seed),
        way=way_of(config),
        max_lost_rounds=config.max_lost_rounds,
    )


def build_strategy(
    config: ExperimentConfig,
    layout: Layout,
    partition_sizes: tuple[int, ...],
    virtual: VirtualClients,
    courier: HostedClients,
) -> RobustStrategy:
    """Build the configured strategy; raises ConfigError where it cannot work with so few clients.

    It gets virtual clients if the server has samples for them.
    """
    strategy: RobustStrategy = plugins.build(config.strategy, "strategy", courier=courier)
    server = ServerContext(
        layout=layout,
        num_rounds=config.num_rounds,
        seed=config.seed,
        partition_sizes=partition_sizes,
        participants_per_round=config.participants_per_round,
        weighting=config.server.weighting,
        learning_rate=config.server.learning_rate,
        min_replies=config.server.min_replies,
        coverage=config.client.coverage,
        virtual_clients=virtual.updates if config.server.root_samples else None,
    )
    strategy.prepare(server)
    return strategy


def way_of(config: ExperimentConfig) -> Way:
    """Return how models and updates travel: through memory where server and clients share it."""
    engine = config.engine
    if isinstance(engine, DeploymentConfig):
        return engine.updates
    is_shared = engine.exchange == "auto" and engine.address == "local" and segment.available()
    return "memory" if is_shared else "messages"


@dataclass(frozen=True)
class _Rounds:
    """Turns what a strategy leaves behind after each round into rows."""

    experiment: Experiment
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

        notes = self.courier.notes

        def report(figures: BackdoorFigures, diverged: str | None, seconds: float) -> None:
            whole = row | asdict(figures) | {"evaluate_seconds": seconds}
            whole["diverged"] = diverged or row.get("diverged")
            self.on_round(FinishedRound(whole, clients, remembered, notes))

        self.evaluator.start(arrays, report, notes)

    def _pass_on(self, server_round: int, replies: RoundReplies) -> None:
        """See that malicious clients hear of each other: they would have ways of their own to do so."""
        heard = [reply.notes for reply in replies.usable]
        try:
            merged = self.experiment.world.trigger.merged(heard)
        except Exception:  # notes are bytes from other machines, and a trigger may be anybody's plug-in
            log.exception("round %d: the notes of malicious clients cannot be merged", server_round)
            return
        self.courier.notes = merged or self.courier.notes

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
        }

    def _client_rows(self, outcome: RoundOutcome, replies: RoundReplies) -> list[Row]:
        used = {reply.client_id: place for place, reply in enumerate(replies.usable)}
        return [
            {
                "server_round": outcome.server_round,
                "client_id": client_id,
                "malicious": client_id in self.experiment.malicious,
                "attacking": self.experiment.is_attacking(client_id, outcome.server_round),
                "rejected": replies.rejected.get(client_id),
                **(_usable_row(outcome, replies, used[client_id]) if client_id in used else {}),
            }
            for client_id in replies.asked
        ]

    def _attacking(self, client_ids: Iterable[int], server_round: int) -> ClientMask:
        return np.array(
            [self.experiment.is_attacking(client_id, server_round) for client_id in client_ids],
            dtype=np.bool_,
        )

    def _malicious(self, client_ids: Iterable[int]) -> ClientMask:
        """Return who is malicious, attacking in this round or not; nobody in a run without attack."""
        experiment = self.experiment
        named = experiment.malicious if experiment.config.attacks else frozenset[int]()
        return np.array([client_id in named for client_id in client_ids], dtype=np.bool_)


def _usable_row(outcome: RoundOutcome, replies: RoundReplies, place: int) -> Row:
    """Return what is known of the client in row `place` of the update matrix."""
    reply, clients, aggregation = replies.usable[place], outcome.updates, outcome.aggregation
    row: Row = {
        "num_examples": reply.num_examples,
        "num_steps": reply.num_steps,
        "train_loss": reply.train_loss,
        "train_seconds": reply.train_seconds,
    }
    if clients is None or aggregation is None:
        return row
    return row | {
        "update_norm": float(clients.norms[place]),
        "gradient_norm": float(clients.gradient_norms[place]),
        "mean_distance": float(clients.mean_distances[place]) if _knows_distances(clients) else None,
        "weight": float(aggregation.weights[place]),
        "clip_coefficient": float(aggregation.clip_coefficients[place]),
        "filtered": bool(aggregation.filtered[place]),
        "flagged": bool(aggregation.flagged[place]),
    }


def _knows_distances(clients: ClientUpdates) -> bool:
    """Return whether mean distances are recorded: where the rule has worked them out, or they are cheap."""
    return "squared_distances" in vars(clients) or len(clients.updates) <= MOST_COMPARED
