"""What a run folder holds already, and whether a run can go on from there."""

from pathlib import Path

from fl_backdoor.config.metric_settings import settings_that_count
from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.data.contents import Contents
from fl_backdoor.runner.experiment_key import experiment_key
from fl_backdoor.runs import checkpoint, run_tables, runs
from fl_backdoor.runs.checkpoint import Checkpoint
from fl_backdoor.runs.lock import only_writer
from fl_backdoor.runs.summary import REACHED_THE_END


def check_folder(folder: Path, *, multirun: bool) -> None:
    """Refuse a folder that is not what a command line takes it for; raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError("resume", folder, "there is no such folder")
    if multirun and is_run(folder):
        raise ConfigError("resume", folder, "is the folder of one run, not of a multirun: leave out -m")
    if not multirun and not is_run(folder):
        raise ConfigError("resume", folder, "holds no run; the folder of a multirun needs -m as well")


def is_run(folder: Path) -> bool:
    """Return whether a run was begun in `folder`."""
    return (folder / "config.yaml").exists()


def is_finished(folder: Path) -> bool:
    """Return whether the run in `folder` reached its last round; it may have diverged."""
    return runs.read(folder, tables=False).status in REACHED_THE_END


def check_same_settings(config: ExperimentConfig, folder: Path) -> None:
    """Refuse a run folder that was begun with other settings; what changes no figure may differ.

    Raises
    ------
    FlBackdoorError
        At the first setting that is not the same, or if the folder's settings cannot be read.
    """
    run = runs.read(folder, tables=False)
    if not run.settings:
        raise FlBackdoorError(run.problems[0])
    for key, value in runs.flatten(settings_that_count(config.to_dict())).items():
        if key not in run.settings:
            raise FlBackdoorError(
                f"{folder} holds a run of an earlier version, which had no {key}: begin anew"
            )
        if run.settings[key] != value:
            raise FlBackdoorError(
                f"{folder} holds a run with {key} = {run.settings[key]}, not {value}: "
                "it goes on only with the settings that it was begun with"
            )


def check_same_data(contents: Contents | None, folder: Path) -> None:
    """Refuse a run folder that was begun on other data; one of an older version does not tell.

    Raises
    ------
    FlBackdoorError
        If the data are not the same, or the folder's note of them cannot be read.
    """
    begun_on, found = runs.fingerprint(folder), contents and contents.fingerprint
    if begun_on is not None and begun_on != found:
        raise FlBackdoorError(
            f"{folder}: the data changed: their fingerprint is {found}, it was {begun_on} when the run was "
            "begun; give back the old files (see dataset.root), or begin anew in another folder"
        )


def cut_off_after(config: ExperimentConfig, contents: Contents | None, folder: Path) -> Checkpoint | None:
    """Return what the run in `folder` goes on from; None: it is begun anew, no round was finished.

    Raises
    ------
    FlBackdoorError
        If the checkpoint cannot be used, or is missing although rounds were finished.
    """
    is_told = runs.fingerprint(folder) is not None
    found = checkpoint.load(folder, experiment_key(config.to_dict(), contents if is_told else None))
    if found is None and _has_rounds(folder):
        raise FlBackdoorError(
            f"{folder} has rounds but no {checkpoint.FOLDER}/: begin it anew in another folder"
        )
    return found


def check_can_go_on(config: ExperimentConfig, contents: Contents | None, folder: Path) -> None:
    """Refuse a run folder that cannot go on under `config`; nothing in it is touched.

    Raises
    ------
    FlBackdoorError
        Like `check_same_settings`, `check_same_data` and `cut_off_after`, or if another process writes the
        folder.
    """
    with only_writer(folder):
        check_same_settings(config, folder)
        check_same_data(contents, folder)
        if not is_finished(folder):
            cut_off_after(config, contents, folder)


def _has_rounds(folder: Path) -> bool:
    """Return whether a round was finished, beyond the evaluation of the model that nobody has trained."""
    rounds, clients = folder / "rounds.csv", folder / "clients.csv"
    return (
        (rounds.exists() and len(run_tables.rounds(rounds)) > 1)
        or (clients.exists() and len(run_tables.clients(clients)) > 0)
        or any((folder / checkpoint.FOLDER).glob("round-[1-9]*.safetensors"))
    )
