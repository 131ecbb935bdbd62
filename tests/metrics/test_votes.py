"""The majority of several models."""

import numpy as np

from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.metrics.votes import Votes


def majority(*votes):
    counted = Votes()
    for classes in votes:
        counted.add(np.array(classes))
    return counted.majority().tolist()


def test_most_votes_win_and_of_equal_ones_the_smaller_class():
    assert majority([2, 0, 1, 3], [2, 1, 0, 3], [0, 1, 2, 1]) == [2, 1, 0, 3]


def test_one_vote_is_what_it_says():
    assert majority([4, NO_CLASS, 0]) == [4, NO_CLASS, 0]


def test_no_class_wins_with_most_votes_alone():
    assert majority([NO_CLASS, NO_CLASS, 1], [NO_CLASS, 3, 1]) == [NO_CLASS, 3, 1]
    assert majority([NO_CLASS], [NO_CLASS]) == [NO_CLASS]
