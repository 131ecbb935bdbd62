"""Plug-ins: a class or function named by ``_target_`` in a YAML file, and its settings.

Whoever writes a plug-in says in its signature what each setting may be, as in
``clip_gamma: Positive = 1.0``; settings are checked against that before any work starts.
"""

import inspect
import pkgutil
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from fl_backdoor.errors import ConfigError

TARGET = "_target_"

Spec = Mapping[str, Any]
"""A plug-in as it stands in the configuration: its ``_target_`` and its settings."""


def resolve(spec: Spec, key: str) -> Callable[..., Any]:
    """Import what `spec` names.

    Raises
    ------
    ConfigError
        If there is no ``_target_`` or nothing can be imported under that name.
    """
    name = spec.get(TARGET)
    if not isinstance(name, str):
        raise ConfigError(f"{key}.{TARGET}", name, "must be the import path of a class or function")
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{key}.{TARGET}", name, f"cannot be imported ({error})") from error
    if not callable(found):
        raise ConfigError(f"{key}.{TARGET}", name, "must be a class or function")
    return found  # type: ignore[no-any-return]  # callable() narrows to an untyped callable


def settings(spec: Spec, key: str, *given: str) -> dict[str, Any]:
    """Check the settings of `spec` against the plug-in's signature, and return them converted.

    Parameters
    ----------
    spec
        Plug-in and settings.
    key
        Where `spec` stands in the configuration, for error messages.
    given
        Names of parameters that the program passes by itself; a user may not set them.

    Raises
    ------
    ConfigError
        At the first unknown setting, wrong type or value out of range.
    """
    target = resolve(spec, key)
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (
            hints.get(name, Any),
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(target).parameters.items()
        if name not in given
    }
    # Other people's signatures name types that pydantic has no schema for, such as NumPy's arrays.
    accepting = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    model = create_model("Settings", __config__=accepting, **fields)
    plain = {name: value for name, value in spec.items() if name != TARGET}
    try:
        checked = model.model_validate(plain)
    except ValidationError as error:
        raise config_error(error, key, sorted(fields)) from error
    return {name: getattr(checked, name) for name in fields}


def build(spec: Spec, key: str, **given: Any) -> Any:  # noqa: ANN401 - whatever the plug-in is
    """Check the settings of `spec` and call its target with them and with `given`."""
    return resolve(spec, key)(**settings(spec, key, *given), **given)


def config_error(
    error: ValidationError, key: str, known: list[str] | None = None, kinds: Collection[str] = ()
) -> ConfigError:
    """Turn the first of pydantic's complaints into one line under the dotted `key`.

    `kinds` are names that pydantic puts between the others where there are several kinds of a thing.
    """
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in (key, *first["loc"]) if part not in ("", *kinds))
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        allowed = f"no such setting; known here: {', '.join(known)}" if known else "no such setting"
    else:
        allowed = first["msg"].removeprefix("Value error, ")
        allowed = allowed.replace("Input should", "must", 1)
    return ConfigError(path, first["input"], allowed)
