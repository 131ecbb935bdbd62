"""Where a run's first global model comes from, see `fl_backdoor.config.start`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.config.start import (
    CleanStart,
    FileStart,
    FreshStart,
    RunStart,
    StartConfig,
    TorchvisionStart,
    check_rounds,
)
from fl_backdoor.core.digest import sha256_of
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.contents import Contents
from fl_backdoor.runner import clean_start, ended_run
from fl_backdoor.runs.run_folder import LAST_MODEL

if TYPE_CHECKING:
    from torch import nn


def identified(start: StartConfig, num_rounds: int) -> StartConfig:
    """Return `start` with the digest of its file, by which runs are told apart.

    Raises
    ------
    ConfigError
        If there is no such file, it is another one than was asked for, or no round is left for the run.
    """
    if isinstance(start, FileStart):
        start = replace(start, sha256=_digest("start.path", Path(start.path), start.sha256))
    elif isinstance(start, RunStart):
        path = ended_run.model_of(start)
        found = _digest("start.folder", path, start.sha256)
        start = replace(start, sha256=found, after_round=ended_run.round_of(start))
    check_rounds(start, num_rounds)
    return start


def identified_plain(start: object, num_rounds: int) -> object:
    """Return the plain group ``start`` as `identified` does; what is wrong in it is for others to say."""
    try:
        known: StartConfig = TypeAdapter(StartConfig).validate_python(start)
    except ValidationError:
        return start
    return asdict(identified(known, num_rounds))


def notices(config: ExperimentConfig) -> tuple[str, ...]:
    """Return what a checked configuration's weights leave open, a line each.

    Raises
    ------
    ConfigError
        If they do not fit the model.
    """
    if isinstance(config.start, FreshStart | CleanStart):
        return ()  # a clean model is made of the same settings: it fits
    from fl_backdoor.federation.context import ExperimentContext
    from fl_backdoor.models.weights import named

    left = begin(config, ExperimentContext(config).model)
    return (f"start: {named(left)} of the model stay as the seed draws them",) if left else ()


def begin(config: ExperimentConfig, model: "nn.Module", contents: Contents | None = None) -> list[str]:
    """Put the weights that a run starts from into its model, and return which stay as the seed draws them.

    Parameters
    ----------
    config
        Of the run, checked.
    model
        As it was built.
    contents
        The run's data, by which a clean model is found; it must have been made.

    Raises
    ------
    ConfigError
        If they cannot be read, have changed since `identified`, or do not fit.
    """
    start, folder = config.start, clean_start.folder_of(config, contents)
    if isinstance(start, FileStart):
        return _put("start.path", Path(start.path), model, start.sha256, strict=start.strict)
    if isinstance(start, RunStart):
        return _put("start.folder", ended_run.model_of(start), model, start.sha256)
    if isinstance(start, TorchvisionStart):
        return _put_published(start, model)
    if folder is not None:
        return _put("start", folder / LAST_MODEL, model)
    return []


def recorded(config: ExperimentConfig) -> Mapping[str, Any] | None:
    """Return what a run's summary says of its first model; None: fresh weights."""
    if isinstance(config.start, FreshStart):
        return None
    return asdict(config.start) | {"rounds_before": config.start.rounds_before}


def _put(
    key: str, path: Path, model: "nn.Module", sha256: str | None = None, *, strict: bool = True
) -> list[str]:
    """Put the tensors of a file into a model; raises ConfigError under `key` if they do not fit."""
    from fl_backdoor.models.weights import UnfitWeights, put, read

    try:
        return put(model, read(path, sha256), strict=strict)
    except UnfitWeights as error:
        raise ConfigError(key, path, str(error)) from error


def _put_published(start: TorchvisionStart, model: "nn.Module") -> list[str]:
    from fl_backdoor.models.pretrained import torchvision_weights
    from fl_backdoor.models.weights import UnfitWeights, put

    try:
        found, head = torchvision_weights(start.weights)
        return put(model, found, strict=start.strict, head=head)
    except UnfitWeights as error:
        raise ConfigError("start.weights", start.weights, str(error)) from error


def _digest(key: str, path: Path, wanted: str | None) -> str:
    """Return the digest of a file; raises ConfigError if it cannot be read or is not the `wanted` one."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ConfigError(key, path, f"cannot be read: {error.strerror or error}") from error
    if wanted not in (None, found):
        raise ConfigError("start.sha256", wanted, f"{path} has {found}")
    return found
