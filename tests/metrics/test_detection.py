import numpy as np

from fl_backdoor.metrics.detection import Detection, detection


def test_counts_and_rates_by_hand():
    flagged = np.array([True, True, False, False, True])
    attacking = np.array([True, False, True, False, False])
    assert detection(flagged, attacking) == Detection(1, 2, 1 / 2, 2 / 3)


def test_rates_are_unknown_where_nobody_is_malicious_or_nobody_is_benign():
    everybody, nobody = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    assert detection(everybody, nobody) == Detection(0, 3, None, 1.0)
    assert detection(nobody, everybody) == Detection(0, 0, 0.0, None)
