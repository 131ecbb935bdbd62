import pytest

from fl_backdoor.metrics.durability import Durability, durability


@pytest.fixture
def tables(round_row, client_row):
    """Rounds with these ASR from round 0 on, and rows of one malicious client in the rounds given."""

    def make(rates, attacked, rejected=()):
        rounds = [round_row(server_round=t, attack_success_rate=rate) for t, rate in enumerate(rates)]
        clients = [
            client_row(
                server_round=t,
                client_id=0,
                malicious=True,
                attacking=t in attacked,
                rejected="late" if t in rejected else None,
            )
            for t in range(1, len(rates))
        ]
        return rounds, clients

    return make


@pytest.mark.parametrize(
    ("rates", "attacked", "expected"),
    [
        ([0.1, 0.9, 0.8, 0.6, 0.4, 0.7], {1}, Durability(1, 2, to_the_end=False)),
        ([0.1, 0.9, 0.4, 0.6, 0.7], {1}, Durability(1, 0, to_the_end=False)),
        ([0.1, 0.2, 0.9, 0.51, 0.52], {1, 2}, Durability(2, 2, to_the_end=True)),
        ([0.1, 0.2, 0.9, 0.5], {2}, Durability(2, 0, to_the_end=False)),
        ([0.1, 0.2, 0.9, None], {2}, Durability(2, 0, to_the_end=False)),
        ([0.1, 0.9, 0.9], {1, 2}, None),
        ([0.1, 0.9, 0.9], set(), None),
        ([0.1], set(), None),
    ],
)
def test_rounds_right_after_the_last_attack_are_counted(tables, rates, attacked, expected):
    assert durability(*tables(rates, attacked)) == expected


def test_an_attack_that_was_not_heard_is_none(tables):
    rounds, clients = tables([0.1, 0.9, 0.8, 0.8], {1, 3}, rejected={3})
    assert durability(rounds, clients) == Durability(1, 2, to_the_end=True)


def test_a_model_that_diverged_says_nothing_of_the_backdoor(tables):
    rounds, clients = tables([0.1, 0.9, 0.8, 0.0, 0.0], {1})
    lost = [row | ({"diverged": "NaN"} if row["server_round"] > 2 else {}) for row in rounds]
    assert durability(lost, clients) == Durability(1, 1, to_the_end=True)
    assert durability([row | {"diverged": "NaN"} for row in rounds], clients) is None
