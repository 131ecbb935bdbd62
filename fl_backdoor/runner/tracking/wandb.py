"""Weights & Biases: a run in the run's folder, for ``wandb sync``, or on a server as it goes on.

Offline, which is the default, nothing is asked of the network: no log-in, no statistics of the machine, which
would ask for that of a cloud, no reports of errors.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fl_backdoor.runner.tracking import note
from fl_backdoor.runner.tracking.base import TrackedRun, Tracker
from fl_backdoor.runs.run import Settings
from fl_backdoor.runs.summary import Status

if TYPE_CHECKING:
    import wandb

FILES = ("summary.json", "*.png")
"""Files of the run's folder of which W&B gets a copy; settings are its configuration."""

DEFAULTS = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
"""Unless the user sets these otherwise: nothing is reported to anybody, and the terminal is left alone."""

QUIET = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "save_code": False,
    "symlink": False,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""W&B's settings: it gets what a tracker is told and gathers nothing; its files are no links elsewhere."""


class WandB(Tracker):
    """History by column and round, settings as configuration, status in the summary.

    Parameters
    ----------
    mode
        ``offline``: a file in the run's folder. ``online``: to a server, of which ``WANDB_BASE_URL`` and
        ``WANDB_API_KEY``, or ``wandb login``, say which and as whom.
    project
        W&B's project.
    entity
        User or team that it belongs to; null: who is logged in.
    """

    packages: ClassVar[tuple[str, ...]] = ("wandb",)
    extra: ClassVar[str] = "wandb"

    _folder: Path
    _run: "wandb.Run"

    def __init__(
        self,
        mode: Literal["offline", "online"] = "offline",
        project: str = "fl_backdoor",
        entity: str | None = None,
    ) -> None:
        self.mode = mode
        self.project = project
        self.entity = entity

    def start(self, run: TrackedRun) -> None:
        """Go on with the run that is noted in the folder, or create one and note it there.

        Offline a run that goes on gets a second file, which holds all rounds: they are told again.

        Raises
        ------
        PermissionError
            If nobody is logged in at the server: a run does not wait for an answer on the terminal.
        """
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        import wandb

        if self.mode == "online" and not wandb.login(prompt=False):
            raise PermissionError("nobody is logged in at W&B: wandb login, or WANDB_API_KEY")
        self._folder = run.folder
        self._run = wandb.init(
            dir=run.folder,
            mode=self.mode,
            entity=self.entity,
            project=self.project,
            group=run.folder.resolve().parent.name,
            id=self._run_id(run),
            resume="allow",
            reinit="create_new",
            name=run.folder.name,
            notes=run.title,
            config={**run.tags(), **nested(run.settings)},
            settings=wandb.Settings(**QUIET),
        )

    def round_finished(self, server_round: int, figures: Mapping[str, float]) -> None:
        """Log a row of W&B's history, whose step is the round; a server that has it keeps what it has."""
        if server_round >= self._run.step:
            self._run.log(dict(figures), step=server_round, commit=True)

    def finish(self, status: Status) -> None:
        """Leave a copy of the summary and the figures, and close the run."""
        for pattern in FILES:
            self._run.save(str(self._folder / pattern), base_path=str(self._folder), policy="end")
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "finished" else 1)

    def _run_id(self, run: TrackedRun) -> str:
        """Return W&B's id of the folder's run: its key, and what tells it from others with that key."""
        uri = f"wandb:{self.entity or ''}/{self.project}"
        run_id = note.read(run.folder, uri) or f"{run.key}-{uuid.uuid4().hex[:8]}"
        note.write(run.folder, uri, run_id)
        return run_id


def nested(settings: Settings) -> dict[str, Any]:
    """Return settings by dotted key as groups in groups, as W&B shows and filters them."""
    groups: dict[str, Any] = {}
    for key, value in settings.items():
        *names, last = key.split(".")
        inner = groups
        for name in names:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return groups
