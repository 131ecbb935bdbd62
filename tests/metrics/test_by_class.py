import math

import numpy as np
import pytest

from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.metrics import class_accuracies, client_accuracies, client_accuracy


def test_accuracy_of_each_class_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 0, 0, 1, 1, NO_CLASS, 3])
    np.testing.assert_array_equal(class_accuracies(labels, predicted, 5), [3 / 4, 1 / 2, np.nan, 1, np.nan])


def test_the_accuracy_of_a_client_weighs_classes_by_its_samples():
    by_class = np.array([0.9, 0.5, np.nan, 0.1])
    counts = np.array([[10, 0, 0, 0], [1, 3, 0, 0], [0, 5, 5, 0], [1, 1, 0, 2], [0, 0, 7, 0]])
    found = client_accuracies(by_class, counts)
    # The class without test samples counts for nobody; a client of nothing else is unknown.
    np.testing.assert_allclose(found, [0.9, 0.6, 0.5, (0.9 + 0.5 + 0.2) / 4, np.nan], rtol=1e-15)


def test_clients_with_the_label_shares_of_the_test_set_have_its_accuracy():
    random = np.random.default_rng(1)
    labels, predicted = random.integers(0, 4, 400), random.integers(0, 4, 400)
    counts = np.bincount(labels, minlength=4)
    found = client_accuracies(class_accuracies(labels, predicted, 4), np.stack([counts, 3 * counts]))
    np.testing.assert_allclose(found, np.mean(labels == predicted), rtol=1e-14)


@pytest.mark.parametrize(("count", "worst"), [(1, 0.0), (10, 0.0), (11, 0.005), (20, 0.005), (30, 0.01)])
def test_the_worst_tenth_is_rounded_up(count, worst):
    # Accuracies 0, 0.01, 0.02, … in some order, and one client of whom nothing is known.
    accuracies = np.random.default_rng(0).permutation(np.append(np.arange(count) / 100, np.nan))
    found = client_accuracy(accuracies)
    assert found.worst_tenth_client_accuracy == pytest.approx(worst)
    assert found.mean_client_accuracy == pytest.approx((count - 1) / 200)


def test_of_nobody_nothing_is_known():
    found = client_accuracy(np.array([np.nan]))
    assert math.isnan(found.mean_client_accuracy)
    assert math.isnan(found.worst_tenth_client_accuracy)
