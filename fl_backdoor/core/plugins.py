"""Plug-ins: a class or function named by ``_target_`` in a YAML file, and its settings.

Whoever writes a plug-in says in its signature what each setting may be, as in
``clip_gamma: Positive = 1.0``; settings are checked against that before any work starts.
"""

import inspect
import pkgutil
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from fl_backdoor.core.errors import ConfigError, FlBackdoorError

if TYPE_CHECKING:
    from pydantic import ValidationError

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
    except Exception as error:  # whatever a module does when it is imported
        raise ConfigError(f"{key}.{TARGET}", name, f"cannot be imported ({_told(error)})") from error
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
        At the first unknown setting, wrong type or value out of range, and where the plug-in does not take
        what is `given`.
    """
    from pydantic import ConfigDict, ValidationError, create_model

    target = resolve(spec, key)
    try:
        parameters = _signature(target).parameters
    except (TypeError, ValueError) as error:
        reason = f"does not say what settings it has ({error})"
        raise ConfigError(f"{key}.{TARGET}", spec[TARGET], reason) from error
    missing = [name for name in given if name not in parameters]
    if missing and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        reason = f"takes no {missing[0]}: is it made for another program? See docs/extending.md"
        raise ConfigError(f"{key}.{TARGET}", spec[TARGET], reason)
    hints = _hints(target.__init__ if inspect.isclass(target) else target)
    fields: dict[str, Any] = {
        name: (
            hints.get(name, Any),
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in parameters.items()
        if name not in given and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
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


def check_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse values that a signature does not allow; what it does not name is not looked at.

    Raises
    ------
    ConfigError
        At the first one.
    """
    from pydantic import ConfigDict, ValidationError, create_model

    hints = _hints(function)
    fields: dict[str, Any] = {name: (hints[name], ...) for name in arguments if name in hints}
    model = create_model("Arguments", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    try:
        model.model_validate({name: arguments[name] for name in fields})
    except ValidationError as error:
        raise config_error(error, "") from error


def factory(spec: Spec, key: str, *given: str) -> Callable[..., Any]:
    """Check the settings of `spec`, and return what calls its target with them; raises like `settings`."""
    return partial(resolve(spec, key), **settings(spec, key, *given))


def build(spec: Spec, key: str, **given: Any) -> Any:  # noqa: ANN401 - whatever the plug-in is
    """Check the settings of `spec` and call its target with them and with `given`.

    Raises
    ------
    ConfigError
        As `settings`, and where the plug-in cannot be built: in one line, whatever it raises.
    """
    checked = settings(spec, key, *given)
    try:
        return resolve(spec, key)(**checked, **given)
    except FlBackdoorError:
        raise
    except Exception as error:  # whatever a plug-in raises
        raise ConfigError(f"{key}.{TARGET}", spec[TARGET], f"cannot be built ({_told(error)})") from error


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    """Return what a plug-in is called with; raises like `inspect.signature`.

    Of a class that is its ``__init__``: early releases of Python 3.11 look at an inherited ``__new__`` first,
    which may take anything.
    """
    if inspect.isclass(target) and inspect.isfunction(target.__init__):
        return inspect.signature(partial(target.__init__, None))
    return inspect.signature(target)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of parameters; those that cannot be found out stand for any."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # such as a name that is imported under TYPE_CHECKING alone
        pass
    known: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(function).items():
        alone = SimpleNamespace(__annotations__={name: annotation})
        with suppress(Exception):
            known |= get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)
    return known


def _told(error: Exception) -> str:
    """Return an error in one line, with the place in a plug-in's code that it comes from."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '?').name}:{error.lineno}: {error.msg}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    is_ours = last.filename in (__file__, pkgutil.__file__) or last.filename.startswith("<")
    return reason if is_ours else f"{Path(last.filename).name}:{last.lineno}: {reason}"


def config_error(
    error: "ValidationError", key: str, known: list[str] | None = None, kinds: Collection[str] = ()
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
