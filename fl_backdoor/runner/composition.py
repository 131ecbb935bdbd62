"""All runs that a command line asks for, composed before the first of them starts."""

import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from fl_backdoor.core import chains
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.runner import resolvers

CONFIG_MODULE = "conf"
CONFIG_NAME = "config"
HYDRA_ANSWERS = ("help", "hydra_help", "info", "cfg", "shell_completion", "config_path")


resolvers.register()

EXTRAS = {"optuna": "search", "submitit_local": "cluster", "submitit_slurm": "cluster"}
"""Choices of Hydra's groups that come with an extra of this package."""


def in_order(arguments: Sequence[str]) -> list[str]:
    """Return the same arguments, settings before options: Hydra takes no setting that follows an option."""
    actions = get_args_parser()._actions
    take_a_value = {name for action in actions if action.nargs is None for name in action.option_strings}
    settings: list[str] = []
    options: list[str] = []
    left = iter(arguments)
    for argument in left:
        if not argument.startswith("-"):
            settings.append(argument)
            continue
        options.append(argument)
        if argument in take_a_value:
            options.extend(value for value in [next(left, None)] if value is not None)
    return settings + options


def is_multirun(arguments: list[str]) -> bool:
    """Return whether several runs are asked for."""
    parsed = _parsed(arguments)
    return parsed.multirun or "hydra.mode=MULTIRUN" in parsed.overrides


def asks_for_help(arguments: list[str]) -> bool:
    """Return whether Hydra is to show choices and settings, and to do nothing else."""
    return bool(_parsed(arguments).help)


def runs_elsewhere(arguments: list[str]) -> bool:
    """Return whether a launcher of Hydra's is asked for, which makes runs in processes of its own."""
    overrides = _parsed(arguments).overrides
    return any(override.startswith("hydra/launcher=") for override in overrides)


@dataclass(frozen=True)
class Composition:
    """A run that is asked for.

    Parameters
    ----------
    config
        Its configuration as plain values.
    folder
        Where Hydra would write if it began this very second: the run, or the multirun that it belongs to.
    overrides
        What the command line says of it, as Hydra will hand it in.
    """

    config: dict[str, Any]
    folder: Path
    overrides: tuple[str, ...]


def composed(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the plain configuration of every run that `arguments` ask for; see `compositions`."""
    return (composition.config for composition in compositions(arguments))


def compositions(arguments: list[str]) -> Iterator[Composition]:
    """Yield every run that `arguments` ask for.

    Nothing is yielded where Hydra answers by itself (``--help``), or where a sweeper picks values as it goes.

    Raises
    ------
    FlBackdoorError
        If Hydra cannot compose a configuration: one line in place of its report.
    """
    parsed, multirun = _parsed(arguments), is_multirun(arguments)
    name = parsed.config_name or CONFIG_NAME
    if any(getattr(parsed, answer) for answer in HYDRA_ANSWERS):
        return
    try:
        with _hydra(parsed.config_dir):
            overrides = _overrides(parsed.overrides)
            if not multirun:
                _refuse_several_values(overrides)
            if not all(_is_known_beforehand(override) for override in overrides):
                return
            for choice in product(*(_alternatives(override) for override in overrides)):
                whole = _composed(name, choice)
                folder, given = _folder(whole, multirun=multirun), tuple(whole.hydra.overrides.task)
                with open_dict(whole):
                    del whole["hydra"]
                config = resolvers.plain_values(whole)
                _refuse_attackers_of_nobody(choice, config)
                if not multirun:
                    _refuse_settings_of_unused_steps(overrides, config)
                yield Composition(config, folder, given)
    except (HydraException, OmegaConfBaseException) as error:
        raise _one_line(error) from error


def _composed(name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a configuration; where Hydra warns that a place in its search path is not there, raise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="provider=hydra.searchpath")
        try:
            return compose(name, overrides=list(overrides), return_hydra_config=True)
        except UserWarning as warning:
            _, _, path = str(warning).removesuffix(" is not available.").partition("path=")
            allowed = "must be a folder, or pkg:// and a package that is found and has an __init__.py"
            raise ConfigError("hydra.searchpath", path, allowed) from warning


def num_runs(overrides: list[str]) -> int | None:
    """Return how many runs the `overrides` of a multirun ask for; None: a sweeper picks them as it goes."""
    with _hydra():
        parsed = _overrides(overrides)
        if not all(_is_known_beforehand(override) for override in parsed):
            return None
        return prod(len(_alternatives(override)) for override in parsed)


def _folder(whole: DictConfig, *, multirun: bool) -> Path:
    """Return where Hydra would have a run, or its multirun."""
    HydraConfig.instance().set_config(whole)
    try:
        return Path(whole.hydra.sweep.dir if multirun else whole.hydra.run.dir)
    finally:
        HydraConfig.instance().cfg = None


def _parsed(arguments: Sequence[str]) -> Namespace:
    return get_args_parser().parse_args(in_order(arguments))


@contextmanager
def _hydra(config_dir: str | None = None) -> Iterator[None]:
    """Have Hydra know our configurations, and those in `config_dir` after them."""
    with initialize_config_module(version_base="1.3", config_module=CONFIG_MODULE):
        if config_dir is not None:
            folder = Path(config_dir).absolute()
            if not folder.is_dir():
                raise ConfigError("--config-dir", config_dir, "is no folder")
            search_path = create_config_search_path(f"pkg://{CONFIG_MODULE}")
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery("schema", None))
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2("app", search_path)
        yield


def _overrides(arguments: Sequence[str]) -> list[Override]:
    """Parse overrides; those such as ``strategy=glob(*)`` look up what there is to choose from."""
    return OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(list(arguments))


def _refuse_several_values(overrides: Sequence[Override]) -> None:
    for override in overrides:
        if override.is_sweep_override():
            key, _, values = str(override.input_line).partition("=")
            raise ConfigError(key, values, f"several values are a sweep: add -m; a list is {key}=[{values}]")


def _is_known_beforehand(override: Override) -> bool:
    return not override.is_sweep_override() or override.is_discrete_sweep()


def _alternatives(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _refuse_attackers_of_nobody(overrides: Sequence[str], config: dict[str, Any]) -> None:
    """Raise where ``attack=none`` would change nothing: an experiment is laid over the chosen attack."""
    attackers = config["attack"]["num_malicious"]
    if "attack=none" in overrides and attackers != 0:
        raise ConfigError(
            "attack",
            "none",
            f"what is chosen beside it sets attack.num_malicious to {attackers}; "
            "to have nobody attack, set attack.num_malicious=0 attack.alpha=0",
        )


def _refuse_settings_of_unused_steps(overrides: Sequence[Override], config: dict[str, Any]) -> None:
    """Raise where a setting would play no part; in a multirun it may in another run."""
    strategy = config["strategy"]
    for override in overrides:
        group, _, rest = override.key_or_group.partition(".")
        step, _, setting = rest.partition(".")
        if group == "strategy" and setting and chains.is_chain(strategy) and step not in strategy:
            allowed = f"{chains.KEY} = [{', '.join(strategy[chains.STEPS])}] names no {step}"
            raise ConfigError(override.key_or_group, override.value(), allowed)


def _one_line(error: Exception) -> FlBackdoorError:
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if choice in EXTRAS:
            return ConfigError(group, choice, f'install it: pip install "fl-backdoor[{EXTRAS[choice]}]"')
        near = get_close_matches(choice, error.options, n=2)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        return ConfigError(group, choice, f"must be one of {', '.join(error.options)}{meant}")
    origin = _origin(error)
    if isinstance(origin, FlBackdoorError):  # what one of our own resolvers found
        return origin
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key and cause.parent_node is not None:
        parent = cause.parent_node
        known = ", ".join(str(key) for key in parent) if isinstance(parent, DictConfig) else ""
        return FlBackdoorError(f"{cause.full_key}: no such setting; known here: {known}")
    return FlBackdoorError(" ".join(str(error).split()))


def _origin(error: BaseException) -> BaseException:
    return error if error.__context__ is None else _origin(error.__context__)
