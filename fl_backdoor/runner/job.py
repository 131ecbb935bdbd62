"""One run that was asked for, and where its files go."""

from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.config.schema import ExperimentConfig


@dataclass(frozen=True)
class Job:
    """A run to be made.

    Parameters
    ----------
    config
        What to run.
    folder
        Where its files go.
    sweep_folder
        The folder of the multirun that it belongs to; None: it stands alone.
    overrides
        What the command line says of it, such as ``attack.alpha=0.1``.
    go_on
        Whether it is taken up if it was cut off, and left as it is if it is finished.
    """

    config: ExperimentConfig
    folder: Path
    sweep_folder: Path | None
    overrides: tuple[str, ...]
    go_on: bool
