import numpy as np
import pytest

from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.testing import check_dataset


@pytest.fixture
def digits(digits_cache, tmp_path):
    return Mnist5k(root=str(tmp_path / "absent"), cache=str(digits_cache), download=False).load()


def rows(images):
    return {image.tobytes() for image in images}


def test_shapes_types_and_classes(digits):
    assert digits.train.samples.shape == (4_000, 1, 28, 28)
    assert digits.test.samples.shape == (1_000, 1, 28, 28)
    assert digits.train.samples.dtype == np.uint8
    assert digits.train.labels.dtype == np.int64
    assert np.bincount(digits.train.labels).tolist() == [400] * 10
    assert np.bincount(digits.test.labels).tolist() == [100] * 10


def test_the_set_keeps_the_contract(tmp_path):
    check_dataset(lambda cache: Mnist5k(cache=cache), tmp_path)


def test_no_image_is_both_in_training_and_test_set(digits):
    train, test = rows(digits.train.samples), rows(digits.test.samples)
    assert len(train) == 4_000
    assert len(test) == 1_000
    assert not train & test


def test_every_fifth_image_of_a_digit_is_for_testing(digits):
    (file,) = Mnist5k().locate().files
    table = np.loadtxt(file, delimiter=",")
    fours = table[table[:, -1] == 4][:, :-1].reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(digits.test.samples[digits.test.labels == 4], fours[[*range(4, 500, 5)]])
    np.testing.assert_array_equal(digits.train.samples[digits.train.labels == 4][:5], fours[[0, 1, 2, 3, 5]])


def test_mean_and_spread_are_those_of_the_training_images(digits):
    values = digits.train.samples / 255
    assert values.mean() == pytest.approx(Mnist5k.mean[0], abs=1e-4)
    assert values.std() == pytest.approx(Mnist5k.std[0], abs=1e-4)


def test_nothing_is_missing(digits, tmp_path):
    assert Mnist5k(root=str(tmp_path), cache=str(tmp_path)).missing() is None
