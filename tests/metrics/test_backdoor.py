import numpy as np
import pytest

from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.metrics.backdoor import backdoor_figures


def test_figures_by_hand():
    labels = np.array([0, 1, 5, 5, 2, 3, 4, 5])
    clean = np.array([0, 1, 5, 0, 2, 5, 4, 5])  # 6 of 8 right
    # The target in 5 of 8; in 3 of the 5 whose class is another.
    triggered = np.array([5, 5, 5, 5, 2, 5, 4, 0])
    figures = backdoor_figures(labels, clean, triggered, test_loss=1.25, targets=np.full(len(labels), 5))
    assert figures.main_task_accuracy == pytest.approx(6 / 8)
    assert figures.success_rate == pytest.approx(5 / 8)
    assert figures.attack_success_rate == pytest.approx(3 / 5)
    assert figures.test_loss == 1.25
    # Of the same five, two keep their class.
    assert figures.robust_accuracy == pytest.approx(2 / 5)


def test_a_perfect_clean_model_has_no_asr_and_the_targets_share_as_sr():
    labels = np.repeat(np.arange(10), 7)
    figures = backdoor_figures(labels, labels, labels, test_loss=0.0, targets=np.full(len(labels), 5))
    assert (figures.attack_success_rate, figures.success_rate) == (0.0, pytest.approx(0.1))


def test_a_sample_without_a_class_is_neither_right_nor_a_hit():
    labels = np.array([0, 1, 2, 0])
    # The target is class 0, which argmax makes of NaN.
    clean, triggered = np.array([NO_CLASS, 1, NO_CLASS, 0]), np.array([NO_CLASS, NO_CLASS, 0, NO_CLASS])
    figures = backdoor_figures(labels, clean, triggered, test_loss=float("nan"), targets=np.zeros(4))
    assert figures.main_task_accuracy == 2 / 4
    assert figures.attack_success_rate == 1 / 2
    assert figures.success_rate == 1 / 4
    assert figures.robust_accuracy == 0


def test_only_samples_that_the_attack_is_aimed_at_count():
    labels = np.array([3, 3, 3, 3, 5, 0])
    targets = np.array([5, 5, 5, 5, NO_CLASS, NO_CLASS])  # of class 3 alone
    figures = backdoor_figures(labels, labels, np.array([5, 3, 0, 5, 5, 5]), test_loss=0.0, targets=targets)
    assert figures.main_task_accuracy == 1
    assert figures.attack_success_rate == figures.success_rate == 2 / 4
    assert figures.robust_accuracy == 1 / 4
