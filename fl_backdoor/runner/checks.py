"""Checks of an experiment that need its plug-ins and no data.

What is simpler is checked in `fl_backdoor.config.schema`, what needs data in `fl_backdoor.runner.rehearsal`.

Those that need no PyTorch come first: importing it takes longer than all of them.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from fl_backdoor.config.schema import DeploymentConfig, ExperimentConfig, SimulationConfig
from fl_backdoor.core import chains, plugins, strategy_plugin
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.auto import resolve
from fl_backdoor.federation.selection.base import Selection
from fl_backdoor.runner import start
from fl_backdoor.runner.tracking import choice as tracker
from fl_backdoor.training.learning_rate import LearningRates

SECONDS_TO_CONNECT = 5

MOST_NAMES = 10
"""Classes whose names are told."""

NOT_AN_ADDRESS = ("local", "auto")
"""What Ray finds by itself."""


@dataclass(frozen=True)
class Checked:
    """A configuration that can be run.

    Parameters
    ----------
    config
        Its data set, its precision and the weights that it starts from are concrete ones.
    fallback
        Why the embedded data set takes the place of CIFAR-10, or None.
    of_strategy
        What the strategy says of itself, a line each.
    of_start
        What the weights that it starts from leave open, a line each.
    """

    config: ExperimentConfig
    fallback: str | None
    of_strategy: tuple[str, ...] = ()
    of_start: tuple[str, ...] = ()

    @property
    def notices(self) -> list[str]:
        """What the user must not miss, a line each."""
        notices = [*([self.fallback] if self.fallback else []), *self.of_strategy, *self.of_start]
        attack, batch_size = self.config.attack, self.config.client.batch_size
        if attack.num_malicious and attack.alpha > 0 and attack.num_poisoned(batch_size) == 0:
            notices.append(
                f"attack.alpha = {attack.alpha} poisons 0 of the {batch_size} samples of a batch: nothing is "
                f"poisoned below {1 / batch_size}"
            )
        return notices


def check(config: ExperimentConfig) -> Checked:
    """Resolve data set and precision, and check what depends on it and on the plug-ins.

    Raises
    ------
    ConfigError
        At the first setting that cannot work.
    """
    return check_heavy(check_light(config))


def check_light(config: ExperimentConfig) -> Checked:
    """Resolve the data set and what is started from, and check what needs no PyTorch; raises like `check`."""
    spec, fallback = resolve(config.dataset)
    dataset = plugins.build(spec, "dataset")
    if config.attack.target_label >= dataset.num_classes:
        raise ConfigError(
            "attack.target_label",
            config.attack.target_label,
            f"{dataset.name} has the classes 0 … {dataset.num_classes - 1}{_called(dataset.class_names)}",
        )
    strategy_plugin.check(config.strategy, "courier")
    if config.server_optimizer:
        plugins.settings(config.server_optimizer, chains.OPTIMIZER, "courier")
    selection: Selection = plugins.build(config.selection, "selection")
    selection.check(config)
    tracker.check(config.tracking)
    LearningRates(config).check()
    if isinstance(config.engine, SimulationConfig):
        _check_ray(config.engine.address)
    started = start.identified(config.start, config.num_rounds)
    return Checked(replace(config, dataset=dict(spec), start=started), fallback)


def _called(class_names: Sequence[str]) -> str:
    """Return what classes are called, if that is more than their numbers and not too much for a line."""
    is_telling = len(class_names) <= MOST_NAMES and not all(map(str.isdecimal, class_names))
    return f": {', '.join(class_names)}" if is_telling else ""


def check_heavy(checked: Checked) -> Checked:
    """Resolve the precision, and check model, trigger and strategy; raises like `check`."""
    import torch

    from fl_backdoor.federation.compatibility import sample_spec
    from fl_backdoor.federation.context import ExperimentContext
    from fl_backdoor.federation.proxy_clients import ProxyClients
    from fl_backdoor.federation.server_app import build_strategy, courier_of

    config = checked.config
    if isinstance(config.engine, DeploymentConfig):
        _check_superlink(config.engine)
    if config.engine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("engine.device", "cuda", "PyTorch finds no GPU here; use auto or cpu")
    context = ExperimentContext(config)
    _ = context.attack, context.benign_client, context.malicious_client, context.augmentation
    config = replace(config, precision=context.precision)
    plugins.settings(
        config.model, "model", *sample_spec(context.dataset, config.model, "model"), "num_classes"
    )
    # No client has been counted yet; what the rule requires depends on the participants alone.
    sizes = (1,) * config.partition.num_clients
    strategy = build_strategy(config, context.layout, sizes, ProxyClients(config, sizes), courier_of(config))
    return Checked(config, checked.fallback, tuple(strategy.notices))


@cache
def _check_ray(address: str) -> None:
    """See that somebody listens where a running Ray is said to be: Ray itself would try for ten minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in NOT_AN_ADDRESS:
        return
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ConfigError("engine.address", address, "must be local, auto or host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except OSError as error:
        reason = f"no Ray answers there ({error}); take engine.address=local to have one started"
        raise ConfigError("engine.address", address, reason) from error


def _check_superlink(engine: DeploymentConfig) -> None:
    """Read what a run needs to be let in; whether the SuperLink is there is seen when it is submitted."""
    from fl_backdoor.engine.deployment.address import read_secret, superlink_address

    superlink_address(engine.address, engine.root_certificates, engine.insecure)
    read_secret(engine.secret)
