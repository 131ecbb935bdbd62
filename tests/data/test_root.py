"""The server's own samples: as many of a class as are asked for, and never one twice."""

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.root import draw_root

LABELS = np.repeat(np.arange(10), 60)


def drawn(count, bias=None, bias_class=0, seed=0):
    return draw_root(LABELS, count, np.random.default_rng(seed), bias, bias_class)


@pytest.mark.parametrize("bias", [None, 0.0, 0.29, 1.0])
def test_rows_are_ascending_and_none_comes_twice(bias):
    rows = drawn(50, bias)
    assert len(set(rows)) == 50
    assert rows.tolist() == sorted(rows)


@pytest.mark.parametrize(("bias", "of_class"), [(0.0, 0), (0.1, 10), (0.29, 29), (0.5, 50)])
def test_a_biased_set_has_its_share_of_one_class(bias, of_class):
    counts = np.bincount(LABELS[drawn(100, bias, bias_class=3)], minlength=10)
    assert counts[3] == of_class
    assert counts.sum() == 100
    assert np.count_nonzero(counts) >= 9


def test_unbiased_sets_have_all_classes_alike():
    counts = np.sum([np.bincount(LABELS[drawn(100, seed=seed)], minlength=10) for seed in range(200)], axis=0)
    np.testing.assert_allclose(counts / 200, 10, atol=0.6)


def test_a_class_has_to_have_enough():
    with pytest.raises(
        ConfigError,
        match=r"^server\.root_bias = 0\.9: asks for 90 training samples of class 3, there are 60$",
    ):
        drawn(100, 0.9, bias_class=3)
    with pytest.raises(ConfigError, match=r"of class 10, there are 0$"):
        drawn(100, 0.5, bias_class=10)
