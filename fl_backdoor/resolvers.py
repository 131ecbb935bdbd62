"""What the YAML files may ask for beside what OmegaConf and Hydra offer."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from fl_backdoor.experiment_key import experiment_key


def register() -> None:
    """Make ``${given_or:a,b}`` and ``${experiment_key:}`` known; calling it again does nothing."""
    OmegaConf.register_new_resolver("given_or", _given_or, replace=True)
    OmegaConf.register_new_resolver("experiment_key", _experiment_key, replace=True)


def _given_or(given: object, otherwise: object) -> object:
    return otherwise if given is None else given


def _experiment_key(_root_: DictConfig) -> str:
    settings: dict[Any, Any] = {key: _root_[key] for key in _root_ if key != "hydra"}
    plain = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    return experiment_key({str(key): value for key, value in dict(plain).items()})  # type: ignore[arg-type]
