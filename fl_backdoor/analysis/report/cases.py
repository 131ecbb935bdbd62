"""What is compared: settings, each under names that a reader knows it by."""

from collections.abc import Sequence
from dataclasses import dataclass

from fl_backdoor.analysis.seeds import Setting, Spread, by_setting
from fl_backdoor.analysis.varying_settings import value, varying_keys
from fl_backdoor.config.metric_settings import changes_no_clean_metric
from fl_backdoor.core import table
from fl_backdoor.runs.run import Run

NO_DEFENCE = "FedAvg"
"""The strategy that defends nothing."""

NO_ATTACK = "no attack"

NAMED = ("dataset", "strategy", "attack.alpha")
"""Settings that stand in a name of their own wherever they differ."""


@dataclass(frozen=True)
class Case:
    """One row of the report: runs that differ in their seed alone.

    Parameters
    ----------
    setting
        The runs.
    defence
        The strategy, with those of its settings that differ from another row's.
    threat
        What differs in how it is attacked, α aside; empty: nothing.
    conditions
        What else differs, clean models included; empty: nothing.
    """

    setting: Setting
    defence: str
    threat: str
    conditions: str

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs of the row, sorted by seed."""
        return self.setting.runs

    @property
    def alpha(self) -> float | None:
        """The poison ratio; None: unknown."""
        return self.runs[0].alpha

    @property
    def attacks(self) -> bool | None:
        """Whether anybody attacks; None: unknown."""
        return _attacks(self.setting)

    @property
    def is_finished(self) -> bool:
        """Whether any run of the row has finished."""
        return bool(self.setting.finished)

    @property
    def diverged(self) -> tuple[Run, ...]:
        """The runs of the row that have diverged, one a seed."""
        return self.setting.diverged

    @property
    def nothing_shown(self) -> str | None:
        """Why its finished runs show nothing of defence and attack, in words; None: they do."""
        finished = self.setting.finished
        if not all(run.trained for run in finished):
            return "no round moved the model"
        return "nobody attacked" if any(run.attacked is False for run in finished) else None

    @property
    def attack(self) -> str:
        """The attack, in words."""
        alpha = "α unknown" if self.alpha is None else f"α = {self.alpha:g}"
        if self.attacks is False:
            return f"{alpha}, which stamps nothing" if self.alpha else NO_ATTACK
        return ", ".join(filter(None, (alpha, self.threat)))

    @property
    def scenario(self) -> str:
        """The attack and all that differs besides, in words."""
        return ", ".join(filter(None, (self.attack, self.conditions)))

    @property
    def marks(self) -> list[str]:
        """What a reader has to know before believing the row, a line each."""
        return self.setting.marks

    def shown(self) -> tuple[Run, ...]:
        """Return the runs whose figures by round are averaged: finished ones, else the one furthest on."""
        furthest = max(self.runs, key=lambda run: run.rounds_finished)
        return self.setting.finished or (furthest,)

    def mean(self, column: str) -> float | None:
        """Return the mean of a figure over the seeds that have finished; None: unknown."""
        return self.setting.mean(column)

    def spread(self, column: str) -> Spread | None:
        """Return a figure over seeds; None if no finished run knows it."""
        return self.setting.spread(column)


@dataclass(frozen=True)
class Comparison:
    """All runs on one data set: what may stand in one figure.

    Parameters
    ----------
    dataset
        The data set that was really there.
    cases
        At least one, sorted by defence, nobody attacking first, then by α.
    """

    dataset: str
    cases: tuple[Case, ...]

    @property
    def defences(self) -> tuple[str, ...]:
        """Names, in the order of the cases."""
        return tuple(dict.fromkeys(case.defence for case in self.cases))

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names, nobody attacking first, then by α."""
        cases = sorted(self.cases, key=_strength)
        return tuple(dict.fromkeys(case.scenario for case in cases))

    @property
    def runs(self) -> list[Run]:
        """All runs."""
        return [run for case in self.cases for run in case.runs]

    def label(self, case: Case) -> str:
        """Name `case` by what tells it apart here."""
        several = len(self.scenarios) > 1
        return f"{case.defence}, {case.scenario}" if several else case.defence


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Sort runs into data sets and settings; nothing is ever averaged over two data sets."""
    datasets = dict.fromkeys(run.dataset for run in runs)
    return [_comparison(name, [run for run in runs if run.dataset == name]) for name in datasets]


def _comparison(dataset: str, runs: Sequence[Run]) -> Comparison:
    settings = by_setting(runs)
    keys = _names(settings)
    cases = [_case(setting, keys) for setting in settings]
    return Comparison(dataset, tuple(sorted(cases, key=lambda case: (_rank(case), *_strength(case)))))


def words(key: str, found: table.Cell) -> str:
    """Write one setting as a reader says it."""
    if key == "attack.num_malicious":
        return f"{found} attacker" + ("" if found == 1 else "s")
    if key == "attack.boost_factor":
        return f"updates × {value(found)}"
    short = key.partition(".")[2] if key.startswith(("strategy.", "attack.")) else key
    if key.endswith("._target_"):
        return f"{short.removesuffix('._target_')} = {value(found).rpartition('.')[2]}"
    return f"{short} = {value(found)}"


def _names(settings: Sequence[Setting]) -> list[str]:
    """Return the settings that cases are named by; how an attack goes matters only where somebody attacks."""
    attacked = [setting.differing for setting in settings if _attacks(setting) is not False]
    keys = varying_keys([setting.differing for setting in settings])
    return [
        *(key for key in keys if key not in NAMED and not changes_no_clean_metric(key)),
        *(key for key in varying_keys(attacked) if key not in NAMED and _is_threat(key)),
    ]


def _case(setting: Setting, keys: Sequence[str]) -> Case:
    """Name a setting; of settings that it does not have nothing is said."""
    values = {key: setting.differing.get(key) for key in keys}
    own = {key: words(key, found) for key, found in values.items() if found is not None}
    of_defence = [text for key, text in own.items() if key.startswith("strategy.")]
    of_threat = [text for key, text in own.items() if _is_threat(key)]
    conditions = [text for text in own.values() if text not in {*of_defence, *of_threat}]
    strategy = setting.runs[0].strategy
    return Case(setting, ", ".join([strategy, *of_defence]), ", ".join(of_threat), ", ".join(conditions))


def _attacks(setting: Setting) -> bool | None:
    return next((run.attacks for run in setting.runs if run.attacks is not None), None)


def _is_threat(key: str) -> bool:
    return key.startswith(("attack.", "selection.")) and changes_no_clean_metric(key)


def _rank(case: Case) -> tuple[bool, str]:
    return (case.runs[0].strategy != NO_DEFENCE, case.defence)


def _strength(case: Case) -> tuple[str, bool, float, str]:
    return (case.conditions, case.attacks is not False, case.alpha or 0.0, case.threat)
