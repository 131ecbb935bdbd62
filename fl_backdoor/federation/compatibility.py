"""Models and triggers are told what the samples are; those that are made for others are refused."""

import inspect
from typing import Any

from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.dataset import LabelledDataset


def sample_spec(
    dataset: LabelledDataset, spec: plugins.Spec, key: str, kind: str | None = None
) -> dict[str, Any]:
    """Return what the plug-in at `key` is told of the samples, by the names of its parameters.

    `kind` is what the data set knows a choice of that goes with it; None: `key`.

    Raises
    ------
    ConfigError
        If it has no such parameters, or cannot be imported.
    DataError
        If what it is told follows from data that are not there.
    """
    described, fitting = dataset.described(), dataset.goes_with[kind or key]
    try:
        inspect.signature(plugins.resolve(spec, key)).bind_partial(**described)
    except TypeError as error:
        raise ConfigError(
            f"{key}.{plugins.TARGET}",
            spec[plugins.TARGET],
            f"is not made for the {dataset.kind} of {dataset.name}; take {fitting}, or another that is",
        ) from error
    return described
