"""The classes of a column: numbers as they are, names and truth values in their order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.named_images import UNLABELLED, class_number

TEXT = ("string", "large_string")


@dataclass(frozen=True)
class LabelColumn:
    """A column of classes.

    Parameters
    ----------
    column
        Its name.
    names
        The names of the classes; None: they have numbers alone.
    number
        Gives the number of a cell's class; `UNLABELLED` for None.
    """

    column: str
    names: Sequence[str] | None
    number: Callable[[Any], int]


def label_column(column: str, kind: Any, rows: Any) -> LabelColumn:  # noqa: ANN401 - datasets is not typed
    """Return what the labels of a set mean.

    Parameters
    ----------
    column, kind
        The column's name, and the type that `datasets` gives it.
    rows
        The training samples: names have their numbers by the order among theirs.

    Raises
    ------
    ConfigError
        If it is a column of neither classes, nor whole numbers, nor text, nor truth values.
    """
    dtype = str(getattr(kind, "dtype", ""))
    if getattr(kind, "names", None) is not None:
        return LabelColumn(column, kind.names, class_number)
    if dtype == "bool":
        return LabelColumn(column, ("false", "true"), class_number)
    if dtype in TEXT:
        return _of_names(column, rows)
    if "int" in dtype:
        return LabelColumn(column, None, class_number)
    raise ConfigError(
        "dataset.label",
        column,
        f"must be a column of classes, names, truth values or whole numbers, not {kind}",
    )


def is_of_ids(kind: Any) -> bool:  # noqa: ANN401
    """Return whether cells of this type of `datasets` can be ids: whole numbers or text."""
    dtype = str(getattr(kind, "dtype", ""))
    return dtype in TEXT or "int" in dtype


def _of_names(column: str, rows: Any) -> LabelColumn:  # noqa: ANN401
    names = sorted(name for name in rows.unique(column) if name is not None)
    numbers = {name: number for number, name in enumerate(names)}

    def number(label: str | None) -> int:
        if label is not None and label not in numbers:
            raise ConfigError(
                "dataset.label", column, f"there are test images of the class {label!r}, and none to train on"
            )
        return UNLABELLED if label is None else numbers[label]

    return LabelColumn(column, names, number)
