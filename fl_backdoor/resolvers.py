"""What the YAML files may ask for beside what OmegaConf and Hydra offer."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from fl_backdoor.errors import ConfigError
from fl_backdoor.experiment_key import experiment_key


def register() -> None:
    """Make ``${given_or:a,b}``, ``${experiment_key:}`` and ``${malicious_ids:}`` known, once or again."""
    OmegaConf.register_new_resolver("given_or", _given_or, replace=True)
    OmegaConf.register_new_resolver("experiment_key", _experiment_key, replace=True)
    OmegaConf.register_new_resolver("malicious_ids", _malicious_ids, replace=True)


def _given_or(given: object, otherwise: object) -> object:
    return otherwise if given is None else given


def _experiment_key(_root_: DictConfig) -> str:
    settings: dict[Any, Any] = {key: _root_[key] for key in _root_ if key != "hydra"}
    plain = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    return experiment_key({str(key): value for key, value in dict(plain).items()})  # type: ignore[arg-type]


def _malicious_ids(_root_: DictConfig) -> list[int]:
    from fl_backdoor.attacks.schedule import malicious_ids

    if _root_.attack.holds_target is not None:
        allowed = "must be null where the attackers are to be known before the data are dealt out"
        raise ConfigError("attack.holds_target", _root_.attack.holds_target, allowed)
    return sorted(malicious_ids(_root_.partition.num_clients, _root_.attack.num_malicious, _root_.seed))
