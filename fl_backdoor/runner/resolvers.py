"""What the YAML files may ask for beside what OmegaConf and Hydra offer."""

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from hydra._internal.config_repository import ConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from fl_backdoor.core import chains
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.plugins import TARGET

if TYPE_CHECKING:
    from fl_backdoor.data.contents import Contents


def register() -> None:
    """Make what the YAML files may ask for known, once or again: ``${given_or:a,b}`` and so on."""
    OmegaConf.register_new_resolver("given_or", _given_or, replace=True)
    OmegaConf.register_new_resolver("experiment_key", _experiment_key, replace=True)
    OmegaConf.register_new_resolver("settings_key", _settings_key, replace=True)
    OmegaConf.register_new_resolver("name_of", _name_of, replace=True)
    OmegaConf.register_new_resolver("malicious_ids", _malicious_ids, replace=True)
    OmegaConf.register_new_resolver("model_replacement", _model_replacement, replace=True)


def plain_values(config: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain values, without Hydra's own and without unused steps.

    Raises
    ------
    ConfigError
        If a chain names a step that is not there.
    """
    settings: dict[Any, Any] = {key: config[key] for key in config if key != "hydra"}
    own = OmegaConf.create(settings)
    if isinstance(own.get("strategy"), DictConfig):
        # Before anything is resolved: what a step asks for need not be there where it is not used.
        for name in _unused_steps(own.strategy):
            with open_dict(own.strategy):
                del own.strategy[name]
    plain = OmegaConf.to_container(own, resolve=True)
    return {str(key): value for key, value in dict(plain).items()}  # type: ignore[arg-type]


def _unused_steps(strategy: DictConfig) -> list[str]:
    plain: dict[Any, Any] = dict(OmegaConf.to_container(strategy))  # type: ignore[arg-type]
    if chains.STEPS in plain:
        steps = strategy[chains.STEPS]
        plain[chains.STEPS] = list(steps) if isinstance(steps, ListConfig) else steps
    return chains.unused(plain)


def _given_or(given: object, otherwise: object) -> object:
    return otherwise if given is None else given


def _experiment_key(_root_: DictConfig) -> str:
    from fl_backdoor.runner import start
    from fl_backdoor.runner.experiment_key import experiment_key

    whole = plain_values(_root_)
    started = start.identified_plain(whole["start"], whole["num_rounds"])
    return experiment_key({**whole, "start": started}, _contents(json.dumps(whole["dataset"])))


def _settings_key(_root_: DictConfig) -> str:
    """Return 8 digits that follow from the settings; no file is read for them."""
    from fl_backdoor.runner.experiment_key import experiment_key

    return experiment_key(plain_values(_root_), None)[:8]


@cache  # many runs of a sweep, made on the same files, are named one after the other
def _contents(spec: str) -> "Contents | None":
    from fl_backdoor.data.contents import contents_of

    return contents_of(json.loads(spec))


def _name_of(group: str, *, _root_: DictConfig) -> str:
    """Return the choice in `group`, or the class in its place where another one runs than its file names.

    After a chain come its steps.
    """
    hydra = _root_.hydra
    choice, target = str(hydra.runtime.choices.get(group)), str((_root_.get(group) or {}).get(TARGET) or "")
    sources = tuple(f"{source.schema}://{source.path}" for source in hydra.runtime.config_sources)
    named, class_name = _target_in(f"{group}/{choice}", sources), target.rpartition(".")[2]
    is_named = target == named if named else not _is_set(f"{group}.{TARGET}", hydra.overrides.task)
    name = choice if is_named or not class_name.isidentifier() else class_name
    steps = (_root_.get(group) or {}).get(chains.STEPS)
    return chains.folder_name(
        name, {TARGET: target, chains.STEPS: list(steps) if isinstance(steps, ListConfig) else None}
    )


@cache
def _target_in(option: str, sources: tuple[str, ...]) -> str | None:
    """Return the class that the file of a choice names; None: it leaves that to the file it builds upon."""
    search_path = ConfigSearchPathImpl()
    for source in sources:
        search_path.append("here", source)
    found = ConfigRepository(search_path).load_config(option)
    return None if found is None else OmegaConf.select(found.config, TARGET)


def _is_set(key: str, overrides: Sequence[str]) -> bool:
    return any(override.lstrip("+").startswith(f"{key}=") for override in overrides)


def _malicious_ids(_root_: DictConfig) -> list[int]:
    from fl_backdoor.attacks.schedule import malicious_ids

    if _root_.attack.holds_target is not None:
        allowed = "must be null where the attackers are to be known before the data are dealt out"
        raise ConfigError("attack.holds_target", _root_.attack.holds_target, allowed)
    return sorted(malicious_ids(_root_.partition.num_clients, _root_.attack.num_malicious, _root_.seed))


def _model_replacement(_root_: DictConfig) -> float:
    """Return the factor with which the attackers of a round put what they learnt in the global model's place.

    The server moves by λ/n of the sum of n participants' updates, of which m are theirs: n / (λ m), γ in
    E. Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020, equation 3, for one attacker.
    """
    attack, rate = _root_.attack, _root_.server.learning_rate
    num_participants = _root_.clients_per_round or _root_.partition.num_clients
    fixed = _root_.selection.get("num_attackers", 1)
    given = (num_participants, rate, attack.num_malicious, attack.every, fixed)
    if not all(isinstance(value, int | float) and value > 0 for value in given):
        return 1.0  # nobody attacks, or a setting is wrong, which its own check says
    at_once = fixed if "num_attackers" in _root_.selection else -(-attack.num_malicious // attack.every)
    return float(num_participants / (rate * at_once))
