"""Whether two sets of runs differ by more than their seeds do.

The rule, from the seeds that each side has:

* Seeds that both have are paired, if there are two or more: the same seed gives the same clients, the same
  attackers and the same first model, so that their differences hold less noise than the runs themselves. The
  interval is Student's for the mean difference; the p value is exact, by flipping the sign of each difference
  (R. A. Fisher, The Design of Experiments, 1935, chapter III).
* Otherwise, with two or more seeds on each side, the interval and the p value are those of Welch's t
  (B. L. Welch, The generalization of Student's problem when several different population variances are
  involved, Biometrika 34, 1947, pages 28 to 35).
* Otherwise there is a difference and nothing to judge it by.

A difference is *larger than the spread over seeds* if its 95 % interval leaves out zero. The interval is
Student's, not the bootstrap's, which with three seeds is no wider than from the lowest to the highest. The
exact p value cannot be below 2 / 2**n, and so not below 0.05 with fewer than six seeds: it stands beside the
interval to say how little a few seeds can prove. Both hold for one figure that was chosen before looking.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fl_backdoor.analysis.seeds import CONFIDENCE

MOST_FLIPPED = 16
"""Differences whose signs are all flipped: 65,536 ways."""

Method = Literal["paired", "Welch", "alone"]


@dataclass(frozen=True)
class Difference:
    """A figure of B minus that of A.

    Parameters
    ----------
    method
        ``paired``, ``Welch``, or ``alone``: nothing is known of the spread.
    a, b
        The figures compared, at least one on each side; in pairs, those of the seeds that both have.
    mean
        Mean of B minus mean of A.
    low, high
        Interval of `mean` at 95 %; None: unknown.
    p
        Two-sided p value of no difference; None: unknown.
    """

    method: Method
    a: tuple[float, ...]
    b: tuple[float, ...]
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def larger(self) -> bool | None:
        """Whether the difference is larger than the spread over seeds; None: unknown."""
        return None if self.low is None or self.high is None else not self.low <= 0 <= self.high


def difference(a: Mapping[int | None, float], b: Mapping[int | None, float]) -> Difference | None:
    """Compare a figure by seed; None if a side knows it for no seed."""
    if not a or not b:
        return None
    shared = [seed for seed in a if seed in b]
    both = [a[seed] for seed in shared], [b[seed] for seed in shared]
    if len(shared) > 1:
        return paired(*both)
    if min(len(a), len(b)) > 1:
        return welch(list(a.values()), list(b.values()))
    return _alone(*both) if shared else _alone(list(a.values()), list(b.values()))


def paired(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare figures of the same seeds, at least two."""
    differences = [after - before for before, after in zip(a, b, strict=True)]
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    reach = _student_quantile(len(differences) - 1) * error
    p = sign_flip_p(differences) if len(differences) <= MOST_FLIPPED else None
    return Difference("paired", tuple(a), tuple(b), mean, mean - reach, mean + reach, p)


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compare figures of different seeds, at least two on each side."""
    mean = statistics.fmean(b) - statistics.fmean(a)
    shares = [statistics.variance(side) / len(side) for side in (a, b)]
    error = math.sqrt(sum(shares))
    if error == 0:
        return Difference("Welch", tuple(a), tuple(b), mean, mean, mean, float(mean == 0))
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(side) - 1) for share, side in zip(shares, (a, b), strict=True)
    )
    reach = _student_quantile(freedom) * error
    p = _student_p(mean / error, freedom)
    return Difference("Welch", tuple(a), tuple(b), mean, mean - reach, mean + reach, p)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the share of all sign flips whose sum is at least as far from zero as that of `differences`."""
    import numpy as np

    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    flips = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
    sums = np.abs((1 - 2 * flips) @ sizes)
    # Sums that are equal on paper may differ in their last digits.
    return float(np.mean(sums >= abs(math.fsum(differences)) - 1e-12 * sizes.sum()))


def _alone(a: Sequence[float], b: Sequence[float]) -> Difference:
    return Difference("alone", tuple(a), tuple(b), statistics.fmean(b) - statistics.fmean(a))


def _student_quantile(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _student_p(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(t)))
