"""A strategy as the configuration has it: one plug-in, or a chain of them."""

from collections.abc import Mapping
from typing import Any

from fl_backdoor.core import chains, plugins
from fl_backdoor.core.chains import STEPS, Strategy
from fl_backdoor.core.errors import ConfigError


def check(strategy: Strategy, *given: str) -> None:
    """Check the settings of a strategy, or of each step of a chain; see `plugins.settings`.

    Raises
    ------
    ConfigError
        At the first that is wrong.
    """
    if not chains.is_chain(strategy):
        plugins.settings(strategy, "strategy", *given)
        return
    known = [STEPS, *strategy[STEPS]]
    for name in [*chains.unused(strategy), *strategy]:
        if name not in [*known, plugins.TARGET]:
            allowed = f"no such setting; known here: {', '.join(known)}"
            raise ConfigError(f"strategy.{name}", strategy[name], allowed)
    for name in strategy[STEPS]:
        plugins.settings(strategy[name], f"strategy.{name}", *given)


def build(strategy: Strategy, inside: Mapping[str, Any], **given: Any) -> Any:  # noqa: ANN401 - whatever it is
    """Build a strategy, or a chain from its steps; see `plugins.build`.

    Parameters
    ----------
    strategy
        As the configuration has it.
    inside
        What the program passes to the steps of a chain.
    given
        What it passes to a strategy, or to a chain.

    Raises
    ------
    ConfigError
        As `check`, and where one cannot be built.
    """
    check(strategy, *given)
    if not chains.is_chain(strategy):
        return plugins.build(strategy, "strategy", **given)
    names = strategy[STEPS]
    steps = [_step(name, strategy[name], inside) for name in names]
    return plugins.resolve(strategy, "strategy")(steps, names=names, **given)


def _step(name: str, spec: plugins.Spec, inside: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever it is
    try:
        return plugins.build(spec, f"strategy.{name}", **inside)
    except ConfigError as error:
        raise chains.of_step(error, name) from error
