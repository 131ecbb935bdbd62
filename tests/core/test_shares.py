"""Shares of counts, against exact fractions."""

from decimal import Decimal

import pytest

from fl_backdoor.core.shares import share_of


@pytest.mark.parametrize(("count", "share", "expected"), [(100, 0.29, 29), (32, 0.052, 1), (32, 0.02, 0)])
def test_known_shares(count: int, share: float, expected: int) -> None:
    assert share_of(count, share) == expected


def test_every_share_of_three_decimals_is_the_exact_one() -> None:
    for thousandths in range(1001):
        share = Decimal(thousandths) / 1000
        for count in (1, 7, 32, 100, 400, 50_000):
            assert share_of(count, float(share)) == int(count * share)


def test_a_share_just_under_a_whole_number_is_rounded_down() -> None:
    assert share_of(10, 0.2999999) == 2
