"""Checks of an experiment that need its plug-ins; everything simpler is checked in `fl_backdoor.config`."""

from dataclasses import dataclass, replace

import torch

from fl_backdoor import plugins
from fl_backdoor.config import ExperimentConfig
from fl_backdoor.data.auto import resolve
from fl_backdoor.errors import ConfigError
from fl_backdoor.server_app import build_strategy
from fl_backdoor.updates import Layout
from fl_backdoor.world import World


@dataclass(frozen=True)
class Checked:
    """A configuration that can be run.

    Parameters
    ----------
    config
        Its data set and its precision are concrete ones.
    fallback
        Why the embedded data set takes the place of CIFAR-10, or None.
    """

    config: ExperimentConfig
    fallback: str | None

    @property
    def notices(self) -> list[str]:
        """What the user must not miss, a line each."""
        notices = [self.fallback] if self.fallback else []
        attack, batch_size = self.config.attack, self.config.client.batch_size
        if attack.num_malicious and attack.alpha > 0 and attack.num_stamped(batch_size) == 0:
            notices.append(
                f"attack.alpha = {attack.alpha} stamps int({batch_size} * {attack.alpha}) = 0 samples of a "
                f"batch: nothing is poisoned below {1 / batch_size}"
            )
        return notices


def check(config: ExperimentConfig) -> Checked:
    """Resolve data set and precision, and check what depends on it and on the plug-ins.

    Raises
    ------
    ConfigError
        At the first setting that cannot work.
    """
    spec, fallback = resolve(config.dataset)
    config = replace(config, dataset=dict(spec))
    world = World(config)
    num_classes = world.dataset.num_classes
    if config.attack.target_label >= num_classes:
        raise ConfigError(
            "attack.target_label",
            config.attack.target_label,
            f"{world.dataset.name} has the classes 0 … {num_classes - 1}",
        )
    if config.engine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("engine.device", "cuda", "PyTorch finds no GPU here; use auto or cpu")
    config = replace(config, precision=world.precision)
    _ = world.trigger
    plugins.settings(config.model, "model", "image_shape", "num_classes")
    # No client has been counted yet; what the rule requires depends on the participants alone.
    build_strategy(config, Layout(()), (1,) * config.partition.num_clients)
    return Checked(config, fallback)
