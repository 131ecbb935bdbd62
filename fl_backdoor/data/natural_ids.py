"""Natural ids: who wrote, said or recorded a training sample, as the data set's own column has it.

They are read when a partition asks for them, and kept beside the decoded samples: as numbers, by the order of
the ids as text.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data import cache
from fl_backdoor.data.dataset import LabelledDataset

KEY = "partition.column"


def kept(dataset: LabelledDataset, column: str, read: Callable[[], Sequence[object]]) -> NDArray[np.int64]:
    """Return the id of each training sample, int64 ``(n,)``, equal where the column's cells are.

    Parameters
    ----------
    dataset
        Whose column it is.
    column
        Its name.
    read
        Gives the cells of the training samples in their order.

    Raises
    ------
    ConfigError
        If a cell is empty; and whatever `read` and `LabelledDataset.load` raise.
    """
    contents = dataset.load().contents
    assert contents is not None
    name = hashlib.sha256(column.encode()).hexdigest()[:8]
    folder = dataset.cache / f"ids-{name}-{dataset.cached_as}-{contents.fingerprint}"
    arrays = cache.open_or_create(folder, lambda: {"ids": _numbered(column, read())})
    return np.asarray(arrays["ids"])


def refused(column: str, whose: str, columns: Sequence[str]) -> ConfigError:
    """Return the error that a set has no such column of ids."""
    known = f"its columns: {', '.join(columns)}" if columns else "only tables have columns"
    return ConfigError(KEY, column, f"no column of whole numbers or text in {whose}; {known}")


def _numbered(column: str, cells: Sequence[object]) -> NDArray[np.int64]:
    texts = ["" if cell is None else str(cell) for cell in cells]
    if "" in texts:
        raise ConfigError(KEY, column, f"training sample {texts.index('') + 1} has no id there")
    _, numbers = np.unique(np.array(texts), return_inverse=True)
    return numbers.astype(np.int64)
