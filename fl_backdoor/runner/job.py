"""One run that was asked for, where its files go, and the tables of the sweep that it belongs to."""

from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.runner.checks import Checked


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
    checked
        What checking `config` came to; None: that is yet to be done, since a sweeper has just picked its
        values, or a launcher has sent it to this process.
    """

    config: ExperimentConfig
    folder: Path
    sweep_folder: Path | None
    overrides: tuple[str, ...]
    go_on: bool
    checked: Checked | None = None

    def ready(self) -> Checked:
        """Return what can be run; raises like `fl_backdoor.runner.rehearsal.ready` where it cannot."""
        from fl_backdoor.runner.rehearsal import ready

        return self.checked or ready(self.config)


def collect(sweep_folder: Path) -> None:
    """Write the table and the figure of a sweep anew."""
    from fl_backdoor.analysis import sweep

    sweep.collect(sweep_folder)
