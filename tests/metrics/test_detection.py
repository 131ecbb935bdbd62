import numpy as np

from fl_backdoor.metrics.detection import Detection, Tally, detection


def test_counts_and_rates_of_a_round_by_hand():
    flagged = np.array([True, True, False, False, True, True])
    attacking = np.array([True, False, True, False, False, False])
    # The last client is malicious and does not attack: to flag it is neither right nor wrong.
    malicious = np.array([True, False, True, False, False, True])
    assert detection(flagged, attacking, malicious) == Detection(1, 2, 1 / 2, 2 / 3)


def test_rates_are_unknown_where_nobody_is_malicious_or_nobody_is_benign():
    everybody, nobody = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    assert detection(everybody, nobody, nobody) == Detection(0, 3, None, 1.0)
    assert detection(nobody, everybody, everybody) == Detection(0, 0, 0.0, None)


def row(client_id, *, malicious=False, attacking=False, flagged=False, rejected=None):
    return {
        "client_id": client_id,
        "malicious": malicious,
        "attacking": attacking,
        "flagged": flagged,
        "rejected": rejected,
    }


def test_a_malicious_client_that_is_found_in_its_idle_round_is_no_false_alarm():
    tally = Tally(attacks=True)
    assert (tally.client_rounds(), tally.clients()) == (None, None)
    tally.add([row(0, malicious=True, attacking=True), row(1), row(2)])
    assert tally.clients() == Detection(0, 0, 0.0, 0.0)
    tally.add([row(0, malicious=True, flagged=True), row(1, flagged=True), row(2)])
    # Client-rounds: one attack, missed; four benign ones, one flagged. Clients: 0 was found, 1 wrongly so.
    assert tally.client_rounds() == Detection(0, 1, 0.0, 1 / 4)
    assert tally.clients() == Detection(1, 1, 1.0, 1 / 2)


def test_flagged_once_is_flagged_for_good_and_who_was_not_judged_does_not_count():
    tally = Tally(attacks=True)
    tally.add(
        [row(0, malicious=True, attacking=True, flagged=True), row(1), row(2, flagged=None, rejected="late")]
    )
    tally.add([row(0, malicious=True, attacking=True), row(1), row(2, flagged=None)])
    assert tally.clients() == Detection(1, 0, 1.0, 0.0)
    assert tally.client_rounds() == Detection(1, 0, 1 / 2, 0.0)
