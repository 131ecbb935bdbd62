"""What there is of a data set on this machine, whether it is what is published, and what is missing."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fl_backdoor.core.errors import DataError
from fl_backdoor.data.catalogue import Entry
from fl_backdoor.data.dataset import Dataset, ImageDataset, LabelledDataset, Source

MOST_CLASSES = 12
"""Names of classes that are told."""

CHANGE_NO_NUMBER = frozenset(
    {"root", "cache", "download", "size", "channels", "mean", "std", "folder", "path"}
)
"""Settings that change neither how many samples a data set has nor how many classes."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    what
        Which.
    told
        What was found.
    is_fault
        Whether the data set cannot be used for it, or is not the published one.
    """

    what: str
    told: str
    is_fault: bool = False


def inspect(dataset: LabelledDataset, entry: Entry | None, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what there is of a data set, and what is wrong; nothing is downloaded.

    Parameters
    ----------
    dataset
        The data set, built.
    entry
        What is published of it with these settings; None: nothing.
    settings
        What it was built with.
    """
    if not dataset.is_here():
        yield Finding("absent", f"no {dataset.wanted} in {dataset.root.absolute()}", is_fault=True)
        yield from wanted(dataset.root, entry, settings)
        return
    source = dataset.locate()
    yield _files(dataset, source)
    sums = list(_sums(source, entry))
    yield from sums
    try:
        data = dataset.load()
    except DataError as error:
        yield Finding("unreadable", str(error), is_fault=True)
        yield from wanted(dataset.root, entry, settings)
        return
    found = list(_numbers(dataset, data, entry))
    yield from found
    if any(one.is_fault for one in (*sums, *found)):
        yield from wanted(dataset.root, entry, settings)


def wanted(root: Path, entry: Entry | None, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield which of the files that are looked for are there, and where to get them."""
    if entry is None:
        return
    forms = [{pattern.format(**settings): 0 for pattern in form} for form in entry.files]
    for form in forms:
        form.update({pattern: _count(root, pattern) for pattern in form})
    # People have one form or the other: what is missing is told of the one that is there, or of the first.
    for pattern, count in max(forms, key=_complete, default={}).items():
        told = "missing" if count == 0 else "there" if count == 1 else f"{count:,} files"
        yield Finding("file", f"{root.absolute() / pattern}: {told}", is_fault=count == 0)
    yield Finding("source", entry.source)
    if entry.advice:
        yield Finding("then", entry.advice.format(**settings))


def _complete(form: Mapping[str, int]) -> float:
    return sum(count > 0 for count in form.values()) / len(form)


def _count(root: Path, pattern: str) -> int:
    relative = Path(pattern)
    if relative.is_absolute():
        root, relative = Path(relative.anchor), relative.relative_to(relative.anchor)
    return sum(1 for _ in root.glob(str(relative)))


def _files(dataset: LabelledDataset, source: Source | None) -> Finding:
    if source is None:
        return Finding("files", f"decoded ones in {dataset.cache}")
    size = sum(file.stat().st_size for file in source.files) / 1e6
    return Finding("files", f"{len(source.files):,} in {source.folder.absolute()}, {size:,.1f} MB")


def _sums(source: Source | None, entry: Entry | None) -> Iterator[Finding]:
    if source is None or entry is None:
        return
    published = [(file, entry.md5[file.name]) for file in source.files if file.name in entry.md5]
    wrong = [(file.name, md5) for file, md5 in published if _md5(file) != md5]
    for name, md5 in wrong:
        yield Finding("checksum", f"{name} is not the published file, MD5 {md5}", is_fault=True)
    if published and not wrong:
        yield Finding("checksums", f"{len(published)} as published (MD5)")


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _numbers(dataset: LabelledDataset, data: Dataset, entry: Entry | None) -> Iterator[Finding]:
    published = (entry.num_train, entry.num_test, entry.num_classes) if entry else (None, None, None)
    shape = dataset.in_words()
    yield _number("training", len(data.train.labels), f"{dataset.kind}, {shape}", published[0])
    yield _number("test", len(data.test.labels), dataset.kind, published[1])
    names = dataset.class_names
    more = " …" if len(names) > MOST_CLASSES else ""
    yield _number("classes", len(names), f"{', '.join(names[:MOST_CLASSES])}{more}", published[2], ": ")
    if isinstance(dataset, ImageDataset):
        moments = dataset.moments
        for what, numbers in (("mean", moments.mean), ("deviation", moments.std)):
            yield Finding(what, ", ".join(f"{number:.4f}" for number in numbers))
    for column in entry.ids if entry else ():
        sizes = np.unique(dataset.natural_ids(column), return_counts=True)[1]
        told = f"{len(sizes):,} ids with {sizes.min():,} to {sizes.max():,} training samples each"
        yield Finding(column, f"{told}, for partition=natural partition.column={column}")
    if data.contents is not None:
        known = ", the published ones" if data.contents.is_published else ""
        yield Finding("contents", f"{data.contents.fingerprint}{known}")


def _number(what: str, number: int, of: str, published: int | None, apart: str = " ") -> Finding:
    is_fault = published not in (None, number)
    told = f"; {published:,} are published" if is_fault else ""
    return Finding(what, f"{number:,}{apart}{of}{told}", is_fault)
