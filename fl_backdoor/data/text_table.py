"""Texts of one class each in tables, CSV, TSV or parquet: ``dataset.folder=ag_news_csv dataset.label=class``.

Sentences are int32 ``(num_tokens,)``, the numbers of their words, see `fl_backdoor.data.words` and
`fl_backdoor.data.encoding`: the end of a longer text is cut off. The vocabulary is what occurs often enough
in the *training* texts, without those that are held back for testing. Labels are int64.
"""

import codecs
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.core.types import OpenShare, PositiveCount
from fl_backdoor.data import natural_ids
from fl_backdoor.data.dataset import Dataset, Source, Split
from fl_backdoor.data.encoding import Encoding, Tokens, frequent_words
from fl_backdoor.data.found_in_data import ClassesInData
from fl_backdoor.data.holdout import ADVICE, held_back
from fl_backdoor.data.holdout import KEY as TEST_SHARE
from fl_backdoor.data.progress import with_progress
from fl_backdoor.data.stretched import readable
from fl_backdoor.data.tables import SUFFIXES, TableForm
from fl_backdoor.data.text import TextDataset, as_array
from fl_backdoor.data.words import words_of

DECODING = 1
"""To be raised whenever the same text would come out differently; part of the names in the cache."""

TEXTS_AT_A_TIME = 10_000

T = TypeVar("T")


class TextTable(ClassesInData, TextDataset):
    """Texts in tables; see the module and `TextDataset`. Nothing is downloaded.

    Parameters
    ----------
    folder
        Where the files lie, from `root` or absolute.
    train, test
        Patterns of the names of files in `folder`, in any depth with ``**/``. `test` null: see `test_share`.
    text, label
        Columns of the text, several of which are joined, and of the class.
    columns
        Names of the columns of CSV files that have none in their first line; null: they have.
    values
        What stands in the column of classes, in the order of the classes; rows with anything else are left
        out. Null: what stands there in the training rows, sorted.
    classes
        Names of the classes; null: `values`.
    encoding
        Of CSV files: utf-8, latin-1, ...
    num_tokens
        Words of a text.
    min_count, max_words
        Words of the vocabulary occur so often in the training texts, and are the most frequent of those;
        null: all.
    test_share
        Without test files, the share of each class's training texts that is held back for testing, the same
        ones for every seed.
    root, cache
        As in `LabelledDataset`.

    Raises
    ------
    ConfigError
        If patterns leave `folder`, or settings do not go together.
    """

    name = "text_table"

    def __init__(
        self,
        *,
        folder: str,
        train: str = "train.csv",
        test: str | None = "test.csv",
        text: list[str],
        label: str = "label",
        columns: list[str] | None = None,
        values: list[str | int] | None = None,
        classes: list[str] | None = None,
        encoding: str = "utf-8",
        num_tokens: PositiveCount = 64,
        min_count: PositiveCount = 2,
        max_words: PositiveCount | None = 20_000,
        test_share: OpenShare | None = None,
        root: str | None = None,
        cache: str | None = None,
    ) -> None:
        super().__init__(root=root, cache=cache, download=False)
        self.folder = self.root / Path(folder).expanduser()
        self.name = f"texts_{self.folder.name}"
        self.wanted = f"{folder}/{train}"
        self.num_tokens, self.min_count, self.max_words = num_tokens, min_count, max_words
        self.test_share = test_share
        self._patterns = {"train": train, "test": test}
        self._text, self._label = text, label
        self._values = None if values is None else [str(value) for value in values]
        self._classes = classes
        self._form = TableForm(None if columns is None else tuple(columns), encoding)
        self._refuse_what_does_not_fit()
        told = [DECODING, train, test, text, label, columns, self._values, classes, encoding]
        told += [num_tokens, min_count, max_words, test_share]
        self._cached_as = f"{self.name}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"

    @property
    def cached_as(self) -> str:
        """The name, and what follows from the settings."""
        return self._cached_as

    def locate(self) -> Source | None:
        """Return the files of the tables."""
        files = tuple(file for which in self._patterns for file in self._files(which))
        return Source(self.folder, files) if self._files("train") else None

    def decode(self, source: Source) -> Dataset:
        """Return the texts as numbers, their words and the names of the classes."""
        texts, labels = self._rows("train")
        values = self._values or sorted(set(labels))
        numbers = self._numbers(labels, values, "train")
        if self.test_share is None:
            test_texts, test_labels = self._rows("test")
            test_numbers = self._numbers(test_labels, values, "test")
        else:
            is_test = held_back(numbers, self.test_share)
            test_texts, test_numbers = _at(texts, is_test), numbers[is_test]
            texts, numbers = _at(texts, ~is_test), numbers[~is_test]
        words = frequent_words(map(words_of, texts), self.min_count, self.max_words)
        encoding = Encoding(words, self.num_tokens)
        train = Split(self._encoded("train", texts, encoding), numbers)
        test = Split(self._encoded("test", test_texts, encoding), test_numbers)
        return self.together(train, test, self._classes or values, words=as_array(words))

    def natural_ids(self, column: str) -> NDArray[np.int64]:
        """Return who each training text comes from, as a column of the tables tells it."""
        return natural_ids.kept(self, column, lambda: self._ids(column))

    def _ids(self, column: str) -> list[object]:
        for file in self._files("train"):
            if column not in (known := self._form.columns_of(file)):
                raise natural_ids.refused(column, readable(file), known)
        cells = self._cells("train", [column, self._label])
        kept, labels = self._kept(cells[column], cells[self._label])
        if self.test_share is None:
            return kept
        values = self._values or sorted(set(labels))
        is_test = held_back(self._numbers(labels, values, "train"), self.test_share)
        return _at(kept, ~is_test)

    def _rows(self, which: str) -> tuple[list[str], list[str]]:
        """Return texts and cells of the class, of the rows that are not left out."""
        cells = self._cells(which, [*self._text, self._label])
        parts = zip(*(cells[column] for column in self._text), strict=True)
        texts = [" ".join("" if part is None else str(part) for part in row) for row in parts]
        found = self._kept(texts, cells[self._label])
        if not found[0]:
            raise DataError(f"dataset.{which}: no texts in {readable(self.folder)}/{self._patterns[which]}")
        return found

    def _kept(self, rows: Sequence[T], labels: Sequence[object]) -> tuple[list[T], list[str]]:
        """Return those rows, and their labels, whose label is one of the values."""
        texts = map(str, labels)
        pairs = [(row, label) for row, label in zip(rows, texts, strict=True) if self._is_value(label)]
        return [row for row, _ in pairs], [label for _, label in pairs]

    def _is_value(self, label: str) -> bool:
        return self._values is None or label in self._values

    def _cells(self, which: str, columns: list[str]) -> dict[str, list[object]]:
        found: dict[str, list[object]] = {column: [] for column in columns}
        for file in self._files(which):
            known = self._form.columns_of(file)
            for column in columns:
                if column not in known:
                    key = "dataset.label" if column == self._label else "dataset.text"
                    raise ConfigError(
                        key, column, f"no such column in {readable(file)}; its columns: {', '.join(known)}"
                    )
            for column, cells in self._form.cells(file, columns).items():
                found[column].extend(cells)
        return found

    def _numbers(self, labels: Sequence[str], values: Sequence[str], which: str) -> NDArray[np.int64]:
        unknown = sorted(set(labels) - set(values))
        if unknown:
            raise ConfigError(
                "dataset.label",
                self._label,
                f"there are {which} texts of the class {unknown[0]!r}, and none to train on; "
                "name the classes in dataset.values to leave it out",
            )
        number = {value: place for place, value in enumerate(values)}
        return np.array([number[label] for label in labels], dtype=np.int64)

    def _encoded(self, which: str, texts: Sequence[str], encoding: Encoding) -> Tokens:
        encoded = np.empty((len(texts), self.num_tokens), dtype=np.int32)
        starts = range(0, len(texts), TEXTS_AT_A_TIME)
        for start in with_progress(starts, f"Encoding {self.name} ({which})", len(starts)):
            some = texts[start : start + TEXTS_AT_A_TIME]
            encoded[start : start + len(some)] = encoding.encode([words_of(text) for text in some])
        return encoded

    def _files(self, which: str) -> list[Path]:
        pattern = self._patterns[which]
        found: Iterator[Path] = iter(()) if pattern is None else self.folder.glob(pattern)
        return sorted(file for file in found if file.is_file() and file.suffix in SUFFIXES)

    def _refuse_what_does_not_fit(self) -> None:
        for which, pattern in self._patterns.items():
            if pattern is not None and (Path(pattern).is_absolute() or ".." in Path(pattern).parts):
                raise ConfigError(f"dataset.{which}", pattern, "must name files in dataset.folder")
        if (self._patterns["test"] is None) == (self.test_share is None):
            alone = "leave this out, or set dataset.test=null"
            allowed = f"without dataset.test: {ADVICE}" if self.test_share is None else alone
            raise ConfigError(TEST_SHARE, self.test_share, allowed)
        if self._classes is not None and len(self._classes) != len(self._values or ()):
            raise ConfigError("dataset.classes", self._classes, "must name each of dataset.values")
        try:
            codecs.lookup(self._form.encoding)
        except LookupError as error:
            raise ConfigError(
                "dataset.encoding", self._form.encoding, "must be utf-8, latin-1 or another that Python knows"
            ) from error


def _at(rows: Sequence[T], chosen: NDArray[np.bool_]) -> list[T]:
    return [row for row, is_chosen in zip(rows, chosen, strict=True) if is_chosen]
