"""Figures over seeds: which runs differ in their seed alone, mean, spread and interval."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fl_backdoor.config.metric_settings import changes_no_metric
from fl_backdoor.runs.run import Run, Settings, of_strategy

CONFIDENCE = 0.95
RESAMPLES = 9999

TOLD_OTHERWISE = ("seed", "dataset._target_", "strategy._target_")
"""Settings that do not tell settings apart; data set and strategy go by their names."""


@dataclass(frozen=True)
class Spread:
    """One figure over seeds.

    Parameters
    ----------
    values
        The figure of each seed, at least one.
    mean
        Their mean.
    std
        Sample standard deviation (n - 1); None with one seed.
    low, high
        Interval of the mean at 95 %, percentile bootstrap over seeds; None with one seed. With three
        seeds it cannot be wider than from the lowest to the highest of them: too narrow rather than wide.
    """

    values: tuple[float, ...]
    mean: float
    std: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed alone.

    Parameters
    ----------
    differing
        By dotted key, those settings that are not the same in all settings that were grouped.
    runs
        At least one, sorted by seed.
    """

    differing: Settings
    runs: tuple[Run, ...]

    @property
    def finished(self) -> tuple[Run, ...]:
        """The finished runs, one a seed: who runs a seed again has learnt nothing about the spread."""
        return self._one_a_seed("finished")

    @property
    def diverged(self) -> tuple[Run, ...]:
        """The runs that reached their last round and had diverged, one a seed: no figure comes from them."""
        return self._one_a_seed("diverged")

    @property
    def marks(self) -> list[str]:
        """What a reader has to know before believing it, a line each."""
        one = ["one seed"] if len(self.finished) == 1 else []
        return [*one, *dict.fromkeys(mark for run in self.runs for mark in run.marks)]

    def values(self, column: str) -> tuple[float, ...]:
        """Return a figure after the last round for each seed that has it.

        Runs that have not finished or have diverged are left out.
        """
        found = [run.final(column) for run in self.finished]
        return tuple(value for value in found if value is not None)

    def mean(self, column: str) -> float | None:
        """Return the mean of a figure over the seeds that have finished; None: unknown."""
        values = self.values(column)
        return sum(values) / len(values) if values else None

    def spread(self, column: str) -> Spread | None:
        """Return a figure over seeds; None if no finished run knows it."""
        values = self.values(column)
        return spread(values) if values else None

    def _one_a_seed(self, status: str) -> tuple[Run, ...]:
        return tuple({run.seed: run for run in self.runs if run.status == status}.values())


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and bootstrap interval of the mean of `values`, at least one.

    The same values give the same interval: resampling has a seed of its own.
    """
    if len(values) < 2:
        return Spread(tuple(values), values[0], None, None, None)
    # From SciPy, which takes a second to import.
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=0,
    )
    # Percentiles of equal means are rounded each for itself: the lower one may be larger by a bit.
    low, high = sorted(float(end) for end in found.confidence_interval)
    return Spread(tuple(values), statistics.fmean(values), statistics.stdev(values), low, high)


def by_setting(runs: Sequence[Run]) -> list[Setting]:
    """Group runs that differ in their seed alone, in the order in which they first appear."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_group(run), []).append(run)
    differing = differing_keys([figure_settings(run) for run in runs])
    return [
        Setting(
            {key: figure_settings(group[0]).get(key) for key in differing}, tuple(sorted(group, key=_seed))
        )
        for group in groups.values()
    ]


def differing_keys(settings: Sequence[Settings]) -> tuple[str, ...]:
    """Return the keys whose values are not the same everywhere, in the order in which they first appear."""
    keys = dict.fromkeys(key for found in settings for key in found)
    return tuple(key for key in keys if len({repr(found.get(key)) for found in settings}) > 1)


def figure_settings(run: Run) -> Settings:
    """Return the settings that figures depend on, seed aside, and the data set that was really there."""
    kept = {
        key: found
        for key, found in run.settings.items()
        if key not in TOLD_OTHERWISE and not changes_no_metric(key)
    }
    for key, named in of_strategy(kept, "client_ids").items():
        if named and named == run.summary.get("malicious_client_ids"):
            # Whoever attacks follows from the seed, and so do their names.
            kept[key] = "the attackers"
    return {"dataset": run.dataset, "strategy": run.strategy} | kept


def _group(run: Run) -> str:
    # Runs whose settings cannot be read need not be the same.
    return repr(sorted(figure_settings(run).items())) if run.settings else str(run.folder)


def _seed(run: Run) -> tuple[int, str]:
    return (-1 if run.seed is None else run.seed, run.name)
