"""What every data set must satisfy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fl_backdoor.data.dataset import LabelledDataset


def check_dataset(build: Callable[[str], LabelledDataset], cache: Path) -> None:
    """See that a data set is found, is what it says, and is the same when it comes out of the cache.

    Parameters
    ----------
    build
        Makes the data set anew; is given the folder for its cache.
    cache
        An empty folder.

    Raises
    ------
    AssertionError
        If it is not.
    DataError
        If it is absent or cannot be decoded; then nothing can be checked.
    """
    dataset = build(str(cache))
    assert dataset.missing() is None, dataset.missing()
    decoded, cached = dataset.load(), build(str(cache)).load()
    assert dataset.contents() == decoded.contents == cached.contents, "contents() tells of other data"
    assert len(dataset.class_names) == dataset.num_classes, "class_names does not name each class"
    for split, again, count in (
        (decoded.train, cached.train, dataset.num_train),
        (decoded.test, cached.test, dataset.num_test),
    ):
        assert len(split.samples) == len(split.labels) == count, f"{len(split.samples)} samples, not {count}"
        assert split.samples.shape[1:] == dataset.sample_shape, "samples of another shape than is said"
        assert split.samples.dtype == dataset.sample_type, "samples of another type than is said"
        assert split.labels.dtype == np.int64, "labels must be int64"
        assert split.labels.min() >= 0, "labels begin at 0"
        assert split.labels.max() < dataset.num_classes, "labels beyond num_classes"
        assert np.array_equal(split.samples, again.samples), "other samples out of the cache"
        assert np.array_equal(split.labels, again.labels), "other labels out of the cache"
    _check_batches(dataset)


def _check_batches(dataset: LabelledDataset) -> None:
    import torch

    from fl_backdoor.data.samples import CLEAN

    split = dataset.load().test
    samples = dataset.on_device(split, torch.device("cpu"))
    inputs, labels = samples.batch(torch.arange(2), CLEAN)
    assert torch.isfinite(inputs.float()).all(), "what a model is given is not finite"
    assert labels.tolist() == split.labels[:2].tolist(), "a batch has other labels"
    assert np.array_equal(samples.as_stored(inputs), split.samples[:2]), (
        "samples do not survive the way to a model"
    )
