"""Leaving out named clients: the mean of the others remains, and the configuration names the attackers."""

import numpy as np
import pytest

from fl_backdoor.attacks.schedule import malicious_ids
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.composition import composed
from strategies.rules.oracle_filter import OracleFilter

ROWS = [[1.0, 0.0], [100.0, 100.0], [3.0, 4.0], [-100.0, 50.0]]


def test_the_others_mean_by_hand(make_federation, make_clients):
    result = make_federation(4).build(OracleFilter, client_ids=[1, 3]).aggregate(make_clients(ROWS))
    np.testing.assert_array_equal(result.update, [2.0, 2.0])
    np.testing.assert_array_equal(result.weights, [0.5, 0, 0.5, 0])
    np.testing.assert_array_equal(result.filtered, [False, True, False, True])


def test_a_round_of_nobody_else_moves_nothing(make_federation, make_clients):
    alone = make_clients(ROWS[1:2], client_ids=[1])
    result = make_federation(4).build(OracleFilter, client_ids=[1, 3]).aggregate(alone)
    np.testing.assert_array_equal(result.update, [0.0, 0.0])
    assert result.filtered.all()


def test_there_must_be_such_a_client(make_federation):
    with pytest.raises(ConfigError, match=r"strategy\.client_ids.*clients are 0 to 3"):
        make_federation(4).build(OracleFilter, client_ids=[4])


@pytest.mark.parametrize(("num_malicious", "seed"), [(0, 0), (3, 0), (2, 5)])
def test_benign_alone_names_the_attackers_of_the_run(num_malicious, seed):
    asked = ["strategy=benign_alone", f"attack.num_malicious={num_malicious}", f"seed={seed}"]
    [config] = composed(asked)
    assert config["strategy"]["client_ids"] == sorted(malicious_ids(10, num_malicious, seed))


def test_benign_alone_cannot_know_attackers_that_are_drawn_by_their_data():
    with pytest.raises(ConfigError, match=r"attack\.holds_target"):
        list(composed(["strategy=benign_alone", "attack.holds_target=true"]))
