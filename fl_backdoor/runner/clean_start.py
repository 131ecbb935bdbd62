"""The clean model that runs start from: whoever needs it first makes it, all others find it."""

from dataclasses import replace
from pathlib import Path

from fl_backdoor.config.metric_settings import clean_run
from fl_backdoor.config.schema import ExperimentConfig, parse
from fl_backdoor.config.start import CleanStart
from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.data.contents import Contents
from fl_backdoor.runner.experiment_key import start_key
from fl_backdoor.runs import runs
from fl_backdoor.runs.run_folder import LAST_MODEL

FOLDER = "clean_starts"


def folder_of(config: ExperimentConfig, contents: Contents | None) -> Path | None:
    """Return the folder of the clean run whose model a run starts from; None: it starts from another one."""
    if not isinstance(config.start, CleanStart):
        return None
    return Path(config.outputs) / FOLDER / start_key(config, config.start.rounds, contents)


def is_made(folder: Path) -> bool:
    """Return whether that run is finished and its model is there."""
    return (folder / LAST_MODEL).exists() and runs.read(folder, tables=False).status == "finished"


def require(folder: Path) -> None:
    """Raise FlBackdoorError if the clean run came to no model that can be started from."""
    if not is_made(folder):
        status = runs.read(folder, tables=False).status
        raise FlBackdoorError(f"{folder}, the clean run that is to be started from, is {status}")


def run_of(config: ExperimentConfig, folder: Path) -> ExperimentConfig:
    """Return the clean run that `folder` holds, or is to hold.

    Runs with other triggers share it: they change its backdoor figures, not its model. One that was cut off
    goes on with the trigger that it was begun with, and with whatever else changes nothing in its model.

    Raises
    ------
    FlBackdoorError
        If the folder's configuration cannot be read.
    """
    assert isinstance(config.start, CleanStart)
    clean = clean_run(config, config.start.rounds)
    begun = folder / "config.yaml"
    if not begun.exists():
        return clean
    plain = reading.yaml_values(begun)
    if not isinstance(plain, dict):
        raise reading.damaged(begun, "it must hold settings by name")
    return replace(parse(plain), dataset=clean.dataset, engine=clean.engine, outputs=clean.outputs)
