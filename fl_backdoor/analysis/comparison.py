"""Two runs, or two folders of runs, side by side: what differs, and which settings have a partner."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fl_backdoor.analysis.difference import Difference, difference
from fl_backdoor.analysis.seeds import Setting, by_setting, figure_settings
from fl_backdoor.analysis.settings_table import figure
from fl_backdoor.analysis.varying_settings import varying_keys
from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs import same_bits
from fl_backdoor.runs.run import Run, Settings
from fl_backdoor.runs.runs import tell_of_each_other

FIGURES = (
    "main_task_accuracy",
    "attack_success_rate",
    "success_rate",
    "test_loss",
    "true_positive_rate",
    "false_positive_rate",
    "client_true_positive_rate",
    "client_false_positive_rate",
    "wall_seconds",
)

MADE_ON = ("versions.", "hardware.", "git_", "dataset_fallback")
"""Beginnings of what ``summary.json`` tells of how a run was made."""

SAID_ELSEWHERE = ("seed", "dataset._target_", "strategy._target_")
"""Seeds are no difference, and data set and strategy go by their names."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Differs:
    """A setting, or how a run was made, that is not the same on both sides.

    Parameters
    ----------
    key
        Its dotted key.
    a, b
        The values of each side, each once, in the order of the runs; empty: no run has it.
    """

    key: str
    a: tuple[table.Cell, ...]
    b: tuple[table.Cell, ...]


@dataclass(frozen=True)
class Pair:
    """A setting of A and the setting of B that it is compared with.

    Parameters
    ----------
    common
        By dotted key, what tells this pair from the other pairs; empty: there is one pair.
    a, b
        The runs of each side, which differ in their seed alone.
    """

    common: Settings
    a: Setting
    b: Setting

    @property
    def is_same_setting(self) -> bool:
        """Whether both sides agree in all that figures depend on."""
        return figure_settings(self.a.runs[0]) == figure_settings(self.b.runs[0])

    @property
    def has_figures(self) -> bool:
        """Whether there is any figure to compare: a finished run on each side."""
        return any(self.difference(name) for name in FIGURES)

    def difference(self, name: str) -> Difference | None:
        """Return how B's figure differs from A's; None: a side has no finished run that knows it."""
        return difference(_by_seed(self.a, name), _by_seed(self.b, name))

    def apart(self) -> dict[int | None, list[str]]:
        """Return for each seed that both sides finished what is not the same in the files, as phrases."""
        others = {run.seed: run for run in self.b.finished}
        shared = [run for run in self.a.finished if run.seed in others]
        return {run.seed: same_bits.apart(run, others[run.seed]) for run in shared}


@dataclass(frozen=True)
class Comparison:
    """A and B.

    Parameters
    ----------
    a, b
        The runs of each side, at least one.
    differs
        What is not the same on both sides.
    pairs
        Settings that are compared, at least one.
    num_alone
        How many settings of A, and of B, have no partner.
    """

    a: tuple[Run, ...]
    b: tuple[Run, ...]
    differs: tuple[Differs, ...]
    pairs: tuple[Pair, ...]
    num_alone: tuple[int, int]

    @property
    def datasets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The data sets of A and of B."""
        return _each_once(run.dataset for run in self.a), _each_once(run.dataset for run in self.b)


def match(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """Match the settings of `a` and `b`, at least one run each.

    Settings are partners if they agree in all that figures depend on, apart from what differs between A and B
    as a whole: what has one value throughout A and another one throughout B.

    Raises
    ------
    FlBackdoorError
        If no setting has a partner.
    """
    tell_of_each_other([*a, *b])
    of_a, of_b = by_setting(a), by_setting(b)
    pairs = _pairs(of_a, of_b)
    if not pairs:
        varying = _varying([figure_settings(run) for run in a]) | _varying(
            [figure_settings(run) for run in b]
        )
        raise FlBackdoorError(
            f"A and B cannot be matched: no setting of A is one of B; they vary {', '.join(sorted(varying))}"
        )
    alone = len(of_a) - len(pairs), len(of_b) - len(pairs)
    return Comparison(tuple(a), tuple(b), tuple(_differs(a, b)), tuple(pairs), alone)


def _pairs(of_a: Sequence[Setting], of_b: Sequence[Setting]) -> list[Pair]:
    if len(of_a) == len(of_b) == 1:
        return [Pair({}, of_a[0], of_b[0])]
    a, b = (
        [figure_settings(setting.runs[0]) for setting in side if setting.runs[0].settings]
        for side in (of_a, of_b)
    )
    whole = _varying([*a, *b]) - _varying(a) - _varying(b)
    keys = [key for key in _keys([*a, *b]) if key not in whole]
    partners = {_agreed(setting, keys): setting for setting in of_b}
    matched = [(one, partners[found]) for one in of_a if (found := _agreed(one, keys)) in partners]
    shown = [key for key in varying_keys([*a, *b]) if key not in whole]
    return [
        Pair({key: figure_settings(one.runs[0]).get(key) for key in shown}, one, other)
        for one, other in matched
    ]


def _varying(settings: Sequence[Settings]) -> set[str]:
    return {key for key in _keys(settings) if len({repr(found.get(key)) for found in settings}) > 1}


def _agreed(setting: Setting, keys: Sequence[str]) -> str:
    """Return what partners agree in, as text; runs whose settings are unknown agree with none."""
    run = setting.runs[0]
    found = figure_settings(run)
    return repr([found.get(key) for key in keys]) if run.settings else str(run.folder)


def _differs(a: Sequence[Run], b: Sequence[Run]) -> list[Differs]:
    # A side whose settings cannot be read does not differ in all of them: nothing is known of it.
    settings = [[_settings(run) for run in side if run.settings] for side in (a, b)]
    made = [[_made_on(run) for run in side if _made_on(run)] for side in (a, b)]
    return [
        Differs(key, of_a, of_b)
        for one, other in (settings, made)
        if one and other
        for key in _keys([*one, *other])
        if set(map(repr, of_a := _values(one, key))) != set(map(repr, of_b := _values(other, key)))
    ]


def _settings(run: Run) -> Settings:
    kept = {key: found for key, found in run.settings.items() if key not in SAID_ELSEWHERE}
    return {"dataset": run.dataset, "strategy": run.strategy} | kept


def _made_on(run: Run) -> Settings:
    return {key: found for key, found in run.summary.items() if key.startswith(MADE_ON)}


def _values(settings: Sequence[Settings], key: str) -> tuple[table.Cell, ...]:
    return _each_once(found[key] for found in settings if key in found)


def _keys(settings: Sequence[Settings]) -> tuple[str, ...]:
    return _each_once(key for found in settings for key in found)


def _by_seed(setting: Setting, name: str) -> dict[int | None, float]:
    known = {run.seed: figure(run, name) for run in setting.finished}
    return {seed: found for seed, found in known.items() if found is not None}


def _each_once(found: Iterable[Value]) -> tuple[Value, ...]:
    """Return each of `found` once; 1, 1.0 and True are three."""
    return tuple({repr(one): one for one in found}.values())
