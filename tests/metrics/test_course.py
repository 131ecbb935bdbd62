"""How a backdoor went, and what it cost, from a run's tables."""

import pytest

from fl_backdoor.metrics import course as module
from fl_backdoor.metrics.cost import ClientSeconds, client_seconds
from fl_backdoor.metrics.course import Course, course


@pytest.fixture
def tables(round_row, client_row):
    """Rounds with these ASR from round 0 on (`x`: diverged), and an attacker in the rounds given."""

    def make(rates, attacked, rejected=()):
        rounds = [
            round_row(server_round=at, diverged="NaN")
            if rate == "x"
            else round_row(server_round=at, attack_success_rate=rate)
            for at, rate in enumerate(rates)
        ]
        clients = [
            client_row(server_round=at, attacking=True, rejected="late" if at in rejected else None)
            for at in attacked
        ]
        return rounds, clients

    return make


@pytest.mark.parametrize(
    ("rates", "attacked", "expected"),
    [
        # Round 0 is nobody's attack; rounds 2 and 4 are, their mean is 0.5.
        ([0.9, 0.1, 0.2, 0.6, 0.8, 0.7], [2, 4], Course(0.8, 0.5, 2)),
        ([0.9, 0.7, 0.7, 0.3], [1], Course(0.7, 0.7, 1)),
        ([0.1, 0.2, 0.5, 0.3], [1, 2, 3], Course(0.5, pytest.approx(1 / 3), None)),
        # A model that has diverged has no ASR, and its round is not one of those that count.
        ([0.1, 0.6, "x", "x"], [1, 2, 3], Course(0.6, 0.6, 1)),
        ([0.1, "x", 0.4], [1], Course(0.4, None, None)),
        ([0.1, 0.2, "x"], [2], Course()),
        ([0.1, 0.9, 0.9], [], Course()),
        ([], [], Course()),
    ],
)
def test_peak_mean_and_rounds_to_open_by_hand(tables, rates, attacked, expected):
    assert course(*tables(rates, attacked)) == expected


def test_an_attack_that_was_not_heard_is_none(tables):
    assert course(*tables([0.1, 0.9, 0.3], [1, 2], rejected=[1])) == Course(0.3, 0.3, None)


def test_only_the_last_attacks_count_for_their_mean(tables, monkeypatch):
    monkeypatch.setattr(module, "LAST", 2)
    assert course(*tables([0.0, 1.0, 0.2, 0.9, 0.4], [1, 2, 4])) == Course(1.0, pytest.approx(0.3), 1)


def test_seconds_are_those_of_attackers_beside_benign_clients(client_row):
    rows = [
        client_row(malicious=True, attacking=True, train_seconds=4.0, cpu_seconds=7.0),
        client_row(malicious=True, attacking=True, train_seconds=6.0, cpu_seconds=9.0),
        client_row(malicious=True, attacking=False, train_seconds=99.0, cpu_seconds=99.0),
        client_row(malicious=False, attacking=False, train_seconds=2.0, cpu_seconds=3.0),
        client_row(malicious=False, attacking=False, rejected="late", train_seconds=99.0),
    ]
    assert client_seconds(rows) == ClientSeconds(5.0, 2.0, 8.0, 3.0)
    earlier = [row | {"cpu_seconds": None} for row in rows]
    assert client_seconds(earlier) == ClientSeconds(5.0, 2.0, None, None)
    assert client_seconds([]) == ClientSeconds(None, None, None, None)
