"""A run that can be made: its settings, its data, and the names that follow from both."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fl_backdoor.config.metric_settings import without_attack
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.data.contents import Contents, contents_of
from fl_backdoor.runner import clean_start
from fl_backdoor.runner.checks import Checked
from fl_backdoor.runner.experiment_key import clean_key, experiment_key


@dataclass(frozen=True)
class PlannedRun:
    """What is to be run.

    Parameters
    ----------
    checked
        Its configuration.
    contents
        Which data it is made on; None where they are yet to be downloaded.
    """

    checked: Checked
    contents: Contents | None

    @classmethod
    def of(cls, checked: Checked) -> "PlannedRun":
        """Look up the data of a configuration; raises FlBackdoorError if they cannot be read."""
        return cls(checked, contents_of(checked.config.dataset))

    @property
    def config(self) -> ExperimentConfig:
        """Its settings."""
        return self.checked.config

    @property
    def without_attack(self) -> "PlannedRun":
        """The run that makes its clean baseline."""
        return replace(self, checked=replace(self.checked, config=without_attack(self.config)))

    @cached_property
    def key(self) -> str:
        """What its checkpoint belongs to, see `experiment_key`."""
        return experiment_key(self.config.to_dict(), self.contents)

    @cached_property
    def clean_key(self) -> str:
        """What its clean baseline is found by."""
        return clean_key(self.config, self.contents)

    @cached_property
    def clean_start(self) -> Path | None:
        """The folder of the clean run whose model it starts from; None: it starts from another one."""
        return clean_start.folder_of(self.config, self.contents)

    @property
    def baselines(self) -> Path:
        """The folder of all clean models' figures."""
        return baselines(self.config)


def baselines(config: ExperimentConfig) -> Path:
    """Return the folder of all clean models' figures."""
    return Path(config.outputs) / "clean_baselines"
