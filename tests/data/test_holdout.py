import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.holdout import held_back


def test_the_same_share_of_each_class_is_held_back_and_always_the_same_images():
    labels = np.repeat([0, 1, 2], [100, 10, 4])
    is_test = held_back(labels, 0.29)
    # a share rounds down only by what is really missing: 29 of 100, 2 of 10, 1 of 4
    assert np.bincount(labels[is_test], minlength=3).tolist() == [29, 2, 1]
    np.testing.assert_array_equal(is_test, held_back(labels.tolist(), 0.29))
    assert np.flatnonzero(is_test)[:29].tolist() != list(range(29)), "drawn, not cut off"


@pytest.mark.parametrize(("share", "left"), [(0.2, "test"), (0.9999999999, "train")])
def test_a_share_that_leaves_nothing_is_refused(share, left):
    with pytest.raises(ConfigError) as error:
        held_back([0, 0, 1, 1], share)
    assert str(error.value) == f"dataset.test_share = {share}: leaves none of the 4 images to {left} on"
