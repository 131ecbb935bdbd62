"""A short line that tells data sets apart, for machines that each have a copy."""

import hashlib
import json

from fl_backdoor.data.dataset import Dataset, LabelledDataset

SEPARATOR = ": "


def fingerprint(dataset: LabelledDataset, data: Dataset) -> str:
    """Return a line that is equal where a data set's name, shape or words, classes and training labels are.

    Labels in their order stand for the samples: a partition is a list of places among them, and hashing all
    images would read gigabytes.
    """
    classes = hashlib.sha256(json.dumps(dataset.class_names).encode()).hexdigest()[:8]
    labels = hashlib.sha256(data.train.labels.tobytes()).hexdigest()[:16]
    kind = f"{dataset.name} ({dataset.in_words()}, {dataset.num_classes} classes, {classes})"
    return f"{kind}{SEPARATOR}{len(data.train.labels)} training samples, {labels}"


def kind_of(line: str) -> str:
    """Return the part of a fingerprint that samples of a client's own must have as well."""
    return line.partition(SEPARATOR)[0]
