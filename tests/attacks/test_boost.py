import numpy as np

from fl_backdoor.attacks.model_poisoning.boost import boost


def test_the_update_is_multiplied_and_counters_are_not():
    before = [np.array([1.0, 2.0], dtype=np.float32), np.array(10)]
    after = [np.array([1.5, 1.0], dtype=np.float32), np.array(12)]
    boosted = boost(before, after, 10)
    assert boosted[0].tolist() == [6.0, -8.0]
    assert boosted[0].dtype == np.float32
    assert boosted[1] == 12


def test_a_factor_of_one_changes_no_bit():
    before = [np.array([0.1], dtype=np.float32)]
    after = [np.array([1e8], dtype=np.float32)]
    assert boost(before, after, 1)[0] is after[0]
