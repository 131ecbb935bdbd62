"""The model of a run that has ended, for another one to start from."""

from pathlib import Path

from fl_backdoor.config.start import RunStart
from fl_backdoor.core import table
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runs import runs
from fl_backdoor.runs.best_model import BEST_MODEL
from fl_backdoor.runs.run_folder import LAST_MODEL


def model_of(start: RunStart) -> Path:
    """Return the file of the model that is started from.

    Raises
    ------
    ConfigError
        If the folder holds no such model.
    """
    folder = Path(start.folder)
    if not (folder / "summary.json").exists():
        raise ConfigError("start.folder", folder, "holds no run that has ended: there is no summary.json")
    path = folder / (LAST_MODEL if start.model == "last" else BEST_MODEL)
    if path.exists():
        return path
    if start.model == "best":
        raise ConfigError("start.model", "best", f"{folder} has not kept it: that needs keep_best=true")
    raise ConfigError("start.folder", folder, f"has no {path.name}: that run ended before its first round")


def round_of(start: RunStart) -> int:
    """Return the round that it is the model of; raises ConfigError if the run's summary does not say it."""
    summary = runs.read(Path(start.folder), tables=False).summary
    name = "rounds_finished" if start.model == "last" else "best.main_task_accuracy.server_round"
    found = table.number(summary.get(name))
    if found is None or found < 0:
        raise ConfigError("start.folder", start.folder, f"its summary.json does not say {name}")
    return int(found)
