"""What is known of a data set only from its samples: how many there are, and which classes.

The numbers raise what `LabelledDataset.load` raises. They are read from the decoded samples, so that no
process but the one that decodes imports what is decoded with.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from fl_backdoor.data.dataset import Dataset, LabelledDataset, Split
from fl_backdoor.data.text import as_array, as_words

CLASSES = "classes"
"""The array of `Dataset.extra` that holds the names of the classes."""


class CountedInData(LabelledDataset):
    """Base of the data sets with any number of samples; what `decode` returns comes from `counted`."""

    # mypy takes a cached property for read-only, which it is not.
    @cached_property
    def num_train(self) -> int:  # type: ignore[override]
        """Number of training samples."""
        return len(self.load().train.labels)

    @cached_property
    def num_test(self) -> int:  # type: ignore[override]
        """Number of test samples."""
        return len(self.load().test.labels)

    def counted(self, dataset: Dataset) -> Dataset:
        """Return what was decoded: so many samples are expected."""
        self.num_train, self.num_test = len(dataset.train.labels), len(dataset.test.labels)
        return dataset


class ClassesInData(CountedInData):
    """Base of the data sets that may have any classes; what `decode` returns comes from `together`."""

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes; their numbers, where the set has no names."""
        return as_words(self.load().extra[CLASSES])

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of classes."""
        return len(self.class_names)

    def together(
        self, train: Split, test: Split, class_names: Sequence[str] | None, **extra: NDArray[Any]
    ) -> Dataset:
        """Return what was decoded, with the names of its classes or, for want of enough names, numbers.

        `extra` is what else is kept with the samples.
        """
        num_classes = 1 + int(max(train.labels.max(), test.labels.max()))
        if class_names is None or len(class_names) < num_classes:
            class_names = list(map(str, range(num_classes)))
        self.class_names = tuple(" ".join(name.split()) for name in class_names)
        self.num_classes = len(self.class_names)
        return self.counted(Dataset(train, test, {CLASSES: as_array(self.class_names), **extra}))
