"""DnC against figures worked out by hand."""

import numpy as np
import pytest

from fl_backdoor.core.errors import ConfigError
from strategies.rules.dnc import DnC, outlier_scores

# Around their mean (0, 0): the main direction is (1, 0), along which they lie at 3, -3, 1, -1, 0.
CENTRED = np.array([[3.0, 0], [-3.0, 0], [1.0, 1], [-1.0, 1], [0.0, -2]])


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_scores_are_squares_along_the_main_direction(shift):
    np.testing.assert_allclose(outlier_scores(CENTRED + shift), [9, 9, 1, 1, 0], atol=1e-6)


def test_the_highest_scores_are_dropped(make_federation, make_clients):
    rows = np.array([[0.0, 1], [0.2, -1], [-0.1, 1], [0.1, -1], [9.0, 0]])
    result = make_federation(5).build(DnC, num_malicious=1).aggregate(make_clients(rows))
    np.testing.assert_array_equal(result.flagged, [False] * 4 + [True])
    np.testing.assert_allclose(result.update, [0.05, 0], atol=1e-7)


def test_a_share_of_f_is_dropped(make_federation, make_clients):
    rows = np.array([[0.0], [0.1], [0.2], [0.3], [9.0], [8.0], [0.15], [0.05], [0.1]])
    rule = make_federation(9).build(DnC, num_malicious=4, filtered_share=0.5)
    np.testing.assert_array_equal(np.flatnonzero(rule.aggregate(make_clients(rows)).filtered), [4, 5])


def test_each_draw_sees_other_coordinates_and_all_must_agree(make_federation, make_clients):
    # Each of four clients stands out in a coordinate of its own: a draw of one coordinate drops one of them.
    rows = np.vstack([10 * np.eye(4), np.zeros((5, 4))])
    rule = make_federation(9).build(DnC, num_malicious=1, num_coordinates=1, num_iterations=12)
    result = rule.aggregate(make_clients(rows))
    np.testing.assert_array_equal(np.flatnonzero(result.filtered), [0, 1, 2, 3])
    once = make_federation(9).build(DnC, num_malicious=1, num_coordinates=1)
    dropped = {
        int(np.flatnonzero(once.aggregate(make_clients(rows, server_round=number)).filtered)[0])
        for number in range(1, 13)
    }
    assert len(dropped) > 1, "another round draws other coordinates"


def test_too_few_clients_for_f(make_federation):
    with pytest.raises(ConfigError) as error:
        make_federation(6).build(DnC)
    assert str(error.value) == (
        "strategy.num_malicious = 3: DnC needs at least 2 * 3 + 1 = 7 clients a round, clients_per_round is 6"
    )
