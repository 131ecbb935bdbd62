"""A short line that tells data sets apart, for machines that each have a copy."""

import hashlib
import json

from fl_backdoor.data.dataset import Dataset, LabelledDataset

SEPARATOR = ": "


def fingerprint(dataset: LabelledDataset, data: Dataset) -> str:
    """Return a line that is equal where a data set's name, shape or words, classes and training samples are.

    Samples count by their decoded values and in their order, since a partition is a list of places among
    them: from which files they were decoded does not matter.
    """
    classes = hashlib.sha256(json.dumps(dataset.class_names).encode()).hexdigest()[:8]
    kind = f"{dataset.name} ({dataset.prepared()}, {dataset.num_classes} classes, {classes})"
    return f"{kind}{SEPARATOR}{len(data.train.labels)} training samples, {data.train.digest}"


def kind_of(line: str) -> str:
    """Return the part of a fingerprint that samples of a client's own must have as well."""
    return line.partition(SEPARATOR)[0]
