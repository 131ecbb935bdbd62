"""One experiment on the server: everything that a run consists of is built here, and set going."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from fl_backdoor import __version__
from fl_backdoor.config.metric_settings import for_clients
from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig
from fl_backdoor.core import chains, plugins, strategy_plugin
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.progress import OnStep, tell_nobody
from fl_backdoor.data.fingerprint import fingerprint
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.courier import HostedClients
from fl_backdoor.federation.evaluation import Evaluator
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.invitation import Invitation
from fl_backdoor.federation.participants import draw
from fl_backdoor.federation.proxy_clients import ProxyClients
from fl_backdoor.federation.rounds import OnRound, Rounds
from fl_backdoor.federation.selection.base import Candidates, Selection
from fl_backdoor.federation.transport import segment
from fl_backdoor.federation.transport.choice import Transport
from fl_backdoor.federation.workbench import workbench_of
from fl_backdoor.models.factory import load_arrays, named_arrays, state_arrays
from fl_backdoor.runs.checkpoint import Checkpoint
from fl_backdoor.training.learning_rate import LearningRates
from strategies.base import ServerContext
from strategies.chain.inner_courier import InnerCourier
from strategies.robust_strategy import RobustStrategy

MOST_OF_TARGET_CLASS = 0.5
"""Of the attackers' samples: with more the user is told."""


class Experiment:
    """A checked configuration, ready to run on any grid.

    Parameters
    ----------
    config
        Checked, its data set resolved.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config
        self.context = ExperimentContext(config)
        self.malicious = self.context.malicious_ids
        self._harmful: dict[int, bool] = {}

    def run(
        self,
        grid: StoppableGrid,
        on_round: OnRound,
        after: Checkpoint | None = None,
        on_step: OnStep = tell_nobody,
    ) -> None:
        """Train for all rounds; `on_round` is called with the initial model and after each round.

        The initial model's round is the one before the first: 0, unless rounds are counted on from a start.

        The model of a round is evaluated while the next one trains: `on_round` is called from a thread of
        its own, once at a time and in order; `on_step` is told meanwhile how far nodes and proxy clients
        are. With a checkpoint only the rounds `after` it are run.

        Raises
        ------
        Stopped
            If the run was asked to end; the rounds that `on_round` has seen are complete.
        NobodyAnswers
            If that is so for too many rounds; the same holds.
        """
        sizes = tuple(len(indices) for indices in self.context.partition)
        grid.invite(self.invitation, len(sizes))
        grid.on_step = on_step
        proxies = ProxyClients(self.config, sizes, grid.idle_cores(), grid.wait, on_step)
        courier = courier_of(self.config, self.participants)
        strategy = build_strategy(self.config, self.context.layout, sizes, proxies, courier)
        strategy.rounds_before = self.config.start.rounds_before
        if after is not None:
            load_arrays(
                self.context.model, [after.model[tensor.name] for tensor in self.context.layout.tensors]
            )
            strategy.restore(after.progress.server_round, after.strategy)
            courier.shared_state = after.shared_state
        with closing(proxies), closing(strategy), Evaluator(self.context) as evaluator:
            rounds = Rounds(self.context, self.is_attacking, strategy, courier, grid, evaluator, on_round)
            strategy.start(
                grid,
                ArrayRecord(state_arrays(self.context.model)),
                num_rounds=self.config.num_rounds - strategy.rounds_before,
                timeout=self.config.server.round_timeout_seconds,
                evaluate_fn=rounds.finished if after is None else rounds.finished_after_the_first,
            )

    def invitation(self) -> Invitation:
        """Return what nodes on other machines must have in common with this run."""
        context = self.context
        return Invitation(for_clients(self.config), __version__, fingerprint(context.dataset, context.data))

    def model(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the model that was evaluated last, by name; before that the one that round 1 starts from."""
        return named_arrays(self.context.model)

    def is_attacking(self, client_id: int, server_round: int) -> bool:
        """Return whether a client really attacks in a round; only metrics ask."""
        if not self.config.attacks or client_id not in self.malicious:
            return False
        schedule = self.context.attack.schedule
        return self._does_harm(client_id) and schedule.is_active(
            server_round, self.context.rank_of(client_id)
        )

    def _does_harm(self, client_id: int) -> bool:
        if client_id not in self._harmful:
            rows = self.context.partition[client_id]
            labels, full_batch = (
                self.context.data.train.labels[rows],
                self.config.client.full_batch(len(rows)),
            )
            self._harmful[client_id] = self.context.attack.does_harm(labels, full_batch)
        return self._harmful[client_id]

    def participants(self, server_round: int) -> list[int]:
        """Draw who takes part in a round, sorted."""
        certain = list[int]()
        if self.config.attack.participation == "fixed":
            certain = [
                client_id for client_id in self.malicious if self.is_attacking(client_id, server_round)
            ]
        return draw(self._selection, self._candidates, self.config.seed, server_round, certain)

    @cached_property
    def _selection(self) -> Selection:
        selection: Selection = plugins.build(self.config.selection, "selection")
        return selection

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(
            self.config.participants_per_round,
            sizes=[len(indices) for indices in self.context.partition],
            malicious=sorted(self.malicious) if self.config.attacks else (),
            schedule=self.context.attack.schedule,
        )

    @property
    def notices(self) -> list[str]:
        """What the user must not miss of who takes part and what they hold, a line each."""
        found = list(self.context.notices)
        if self.config.attacks and not any(map(self._is_attacked, self.config.rounds)):
            found.append(
                "nobody attacks in this run: in no round does a malicious client take part whose turn it is "
                "and that has samples enough to poison any; see attack, clients_per_round, partition and seed"
            )
        if (share := self.stamped_of_target_class) is not None and share > MOST_OF_TARGET_CLASS:
            found.append(
                f"{share:.0%} of the attackers' samples are of class {self.config.attack.target_label} "
                "anyway, the target: to relabel those poisons nothing; see attack.target_label and partition"
            )
        return found

    @cached_property
    def stamped_of_target_class(self) -> float | None:
        """Which share of what the attackers may poison is of its target's class; None: they poison none.

        What they poison is drawn from all of it: about this share keeps its label.
        """
        context, full_batch = self.context, self.config.client.full_batch
        held = [
            context.data.train.labels[context.partition[client_id]] for client_id in sorted(self.malicious)
        ]
        labels = [found for found in held if context.attack.poisons(found, full_batch(len(found)))]
        if not labels or not context.poisoning.relabels:
            return None
        of_attackers = np.concatenate(labels)
        poisonable = of_attackers[context.poisoning.poisoned_classes()[of_attackers]]
        return float(np.mean(context.poisoning.aims()[poisonable] == poisonable))

    def _is_attacked(self, server_round: int) -> bool:
        return any(
            self.is_attacking(client_id, server_round) for client_id in self.participants(server_round)
        )


def _nobody(_server_round: int) -> list[int]:
    return []


def courier_of(config: ExperimentConfig, participants: Callable[[int], list[int]] = _nobody) -> HostedClients:
    """Return who carries messages between strategy and clients; without `participants`, to try a strategy."""
    return HostedClients(
        experiment=for_clients(config),
        client=config.client,
        participants=participants,
        transport=transport_of(config),
        max_lost_rounds=config.max_lost_rounds,
        learning_rate=LearningRates(config).of_gradients,
    )


def build_strategy(
    config: ExperimentConfig,
    layout: Layout,
    partition_sizes: tuple[int, ...],
    proxies: ProxyClients,
    courier: HostedClients,
) -> RobustStrategy:
    """Build the configured strategy; raises ConfigError where it cannot work with such clients.

    It gets proxy clients if the server has samples for them, and a workbench if it needs one.
    """
    try:
        strategy: RobustStrategy = strategy_plugin.build(
            chains.followed_by(config.strategy, config.server_optimizer),
            inside={"courier": InnerCourier()},
            courier=courier,
        )
        workbench = None if strategy.needs == "nothing" else workbench_of(config, proxies.go_on)
        server = _server_of(config, layout, partition_sizes, proxies)
        strategy.prepare(replace(server, workbench=workbench))
    except ConfigError as error:
        raise chains.as_set(error, config.strategy) from error
    if strategy.judges_gradients and not config.client.shows_gradients:
        name = chains.title(config.strategy)
        allowed = f"{name} judges average gradients, Δ / (-lr·T), which updates do not show then: take sgd"
        raise ConfigError("client.optimizer", config.client.optimizer, allowed)
    return strategy


def _server_of(
    config: ExperimentConfig, layout: Layout, partition_sizes: tuple[int, ...], proxies: ProxyClients
) -> ServerContext:
    return ServerContext(
        layout=layout,
        num_rounds=len(config.rounds),
        last_round=config.num_rounds,
        seed=config.seed,
        partition_sizes=partition_sizes,
        participants_per_round=config.participants_per_round,
        weighting=config.server.weighting,
        learning_rate=config.server.learning_rate,
        min_replies=config.server.min_replies,
        coverage=config.client.coverage,
        proxy_clients=proxies.updates if config.server.root_samples else None,
    )


def transport_of(config: ExperimentConfig) -> Transport:
    """Return how models and updates travel: through memory where server and clients share it."""
    engine = config.engine
    if isinstance(engine, DeploymentConfig):
        return engine.updates
    is_shared = engine.exchange == "auto" and engine.address == "local" and segment.available()
    return "memory" if is_shared else "messages"
