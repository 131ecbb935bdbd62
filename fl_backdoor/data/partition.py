"""Which client has which training samples: lists of indices from a partitioner of flwr-datasets and the seed.

Importing flwr-datasets takes seconds, so a plan is kept on disk, and the package is imported only to make a
new one.
"""

import dataclasses
import hashlib
import inspect
import json
import logging
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator, integer_seed
from fl_backdoor.data.cache import beside, writing

Labels = NDArray[np.int64]
Plan = list[NDArray[np.int64]]
"""Indices into the training set, ascending: item i is what client i has."""

Columns = dict[str, NDArray[np.int64]]
"""What a partitioner sees of the training samples, by name, int64 ``(n,)`` each."""

KEY = "partition.partitioner"
OWN_COLUMNS = ("label", "index")
PACKAGE = "flwr-datasets"

_log = logging.getLogger("fl_backdoor")


def partition(
    labels: Labels,
    config: PartitionConfig,
    seed: int,
    cache_folder: Path,
    ids: NDArray[np.int64] | None = None,
) -> Plan:
    """Split a training set over the clients.

    Parameters
    ----------
    labels
        int64 ``(n,)``, the classes of the training samples; a partitioner sees them as the column ``label``.
    config
        Number of clients, and the partitioner.
    seed
        The seed of the run.
    cache_folder
        Where plans are kept.
    ids
        int64 ``(n,)``, natural ids: the column that `config` names; None: it names none.

    Returns
    -------
    plan
        For each client the int64 indices of its samples, ascending, at least one; no index is in two of them.

    Raises
    ------
    ConfigError
        If there are fewer samples than clients, or the partitioner refuses its settings.
    DataError
        If `cache_folder` cannot be written.
    """
    if config.num_clients > len(labels):
        raise ConfigError(
            "partition.num_clients", config.num_clients, f"must be at most the {len(labels)} training samples"
        )
    columns = {"label": labels} if ids is None else {"label": labels, _named(config.column): ids}
    file = cache_folder / f"partition-{_fingerprint(columns, config, seed)}.npz"
    plan = _read(file, config.num_clients, len(labels))
    if plan is None:
        plan = _draw(columns, config, seed)
        _write(file, plan)
    return plan


def unowned(labels: Labels, plan: Plan, num_kept: int) -> str | None:
    """Return a line about the training samples that no client has; None if there are none.

    Parameters
    ----------
    labels
        int64 ``(n,)``, the classes of all training samples.
    plan
        Who has which.
    num_kept
        How many the server keeps for itself.
    """
    owned = np.concatenate(plan)
    num_lost = len(labels) - len(owned) - num_kept
    if num_lost == 0:
        return None
    missing = sorted(set(labels.tolist()) - set(labels[owned].tolist()))
    which = f"; no client has class {', '.join(map(str, missing))}" if missing else ""
    return f"partition: {num_lost} of {len(labels)} training samples belong to no client{which}"


def _named(column: str | None) -> str:
    if column is None or column in OWN_COLUMNS:
        raise ConfigError("partition.column", column, f"must not be one of {', '.join(OWN_COLUMNS)}")
    return column


def _fingerprint(columns: Columns, config: PartitionConfig, seed: int) -> str:
    sums = [hashlib.sha256(column.astype(np.int64).tobytes()).hexdigest() for column in columns.values()]
    settings = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    known = [*sums, settings, seed, metadata.version(PACKAGE)]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _draw(columns: Columns, config: PartitionConfig, seed: int) -> Plan:
    from datasets import Dataset

    labels = columns["label"]

    # IidPartitioner cuts the data in the order it finds, and many data sets are sorted in some way.
    shuffled = generator(seed, Purpose.PARTITION).permutation(len(labels))
    partitioner = _build(config, seed)
    try:
        seen = {name: column[shuffled] for name, column in columns.items()}
        partitioner.dataset = Dataset.from_dict({**seen, "index": shuffled})
        parts = [partitioner.load_partition(i) for i in range(partitioner.num_partitions)]
    except ValueError as error:
        raise _refused(config, error) from error
    # All rows at once: a column that is asked for by its name alone is read row by row, 0.1 ms each.
    plan = [np.sort(np.asarray(part.with_format("numpy")[:]["index"], dtype=np.int64)) for part in parts]
    fault = _fault(plan, config.num_clients, len(labels))
    if fault:
        raise _refused(config, fault)
    return plan


def _build(config: PartitionConfig, seed: int) -> Any:  # noqa: ANN401 - importing its type would take seconds
    # A null seed would mean a different plan each time, so that it counts as none given.
    spec = {name: value for name, value in config.partitioner.items() if (name, value) != ("seed", None)}
    given: dict[str, int | str] = {"num_partitions": config.num_clients}
    if "seed" not in spec:
        given["seed"] = integer_seed(seed, Purpose.PARTITION, 1)
    parameters = inspect.signature(plugins.resolve(spec, KEY)).parameters
    if "column" in parameters and "column" not in spec:
        if config.column is None:
            raise ConfigError("partition.column", None, "must name the data set's column of natural ids")
        given["column"] = config.column
    accepted = {name: value for name, value in given.items() if name in parameters}
    settings = plugins.settings(spec, KEY, *accepted)
    try:
        return plugins.resolve(spec, KEY)(**settings, **accepted)
    except Exception as error:  # whatever a partitioner raises
        raise _refused(config, error) from error


def _refused(config: PartitionConfig, reason: object) -> ConfigError:
    return ConfigError(KEY, config.partitioner.get(plugins.TARGET), " ".join(str(reason).split()))


def _fault(plan: Plan, num_clients: int, num_samples: int) -> str | None:
    if len(plan) != num_clients:
        return f"makes {len(plan)} partitions, partition.num_clients is {num_clients}"
    empty = next((client_id for client_id, indices in enumerate(plan) if len(indices) == 0), None)
    if empty is not None:
        return f"leaves client {empty} without samples"
    together = np.concatenate(plan)
    if len(np.unique(together)) != len(together):
        return "gives a sample to more than one client"
    if together.min() < 0 or together.max() >= num_samples:
        return f"names samples outside 0 to {num_samples - 1}"
    return None


def _write(file: Path, plan: Plan) -> None:
    unfinished = beside(file)
    with writing(file.parent):
        try:
            with unfinished.open("wb") as stream:
                np.savez(stream, indices=np.concatenate(plan), sizes=[len(indices) for indices in plan])
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)


def _read(file: Path, num_clients: int, num_samples: int) -> Plan | None:
    if not file.exists():
        return None
    try:
        with np.load(file) as stored:
            plan = np.split(stored["indices"], np.cumsum(stored["sizes"])[:-1])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        fault: object = error
    else:
        fault = _fault(plan, num_clients, num_samples)
        if fault is None:
            return plan
    _log.warning("%s is damaged (%s) and will be made again", file, fault)
    return None
