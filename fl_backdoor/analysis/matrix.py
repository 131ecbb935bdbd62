"""Defences by attacks: what each attack comes to under each defence, a matrix for each condition."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fl_backdoor.analysis.render.sheet import Sheet, gather
from fl_backdoor.analysis.report.cases import NAMED, NO_ATTACK, NO_DEFENCE, words
from fl_backdoor.analysis.seeds import Setting, by_setting
from fl_backdoor.analysis.varying_settings import varying_keys
from fl_backdoor.runs.run import Run, Settings

UNKNOWN = "–"
DIVERGED = "diverged"

SAID = (
    "ASR (accuracy drop), per cent, means over seeds. The drop is measured against FedAvg that nobody "
    "attacks. After FedAvg the least worst ASR comes first."
)


@dataclass(frozen=True)
class Cell:
    """What runs that differ in their seed alone came to.

    Parameters
    ----------
    setting
        The runs.
    where
        Data set and conditions, in words: all that is neither defence nor attack.
    defence, attack
        In words.
    """

    setting: Setting
    where: str
    defence: str
    attack: str

    @property
    def rate(self) -> float | None:
        """ASR; None: unknown."""
        return self.setting.mean("attack_success_rate")

    @property
    def is_free(self) -> bool:
        """Whether there is neither defence nor attack."""
        return (self.defence, self.attack) == (NO_DEFENCE, NO_ATTACK)


@dataclass(frozen=True)
class Matrix:
    """Defences by attacks under one condition.

    Parameters
    ----------
    where
        Data set and conditions, in words.
    cells
        At least one.
    """

    where: str
    cells: tuple[Cell, ...]

    @property
    def attacks(self) -> list[str]:
        """Their names, nobody attacking first."""
        return sorted({cell.attack for cell in self.cells}, key=lambda name: (name != NO_ATTACK, name))

    @property
    def defences(self) -> list[str]:
        """Their names: FedAvg, then the least worst ASR first."""
        names = {cell.defence for cell in self.cells}
        return sorted(names, key=lambda name: (name != NO_DEFENCE, self._order(name), name))

    def rows(self) -> list[list[Cell | None]]:
        """Return a row for each defence, a cell for each attack; None: it was not tried."""
        found = {(cell.defence, cell.attack): cell for cell in self.cells}
        return [[found.get((defence, attack)) for attack in self.attacks] for defence in self.defences]

    def worst(self, defence: str) -> float | None:
        """Return a defence's highest ASR; None if it is unknown under an attack that was tried on it."""
        rates = [cell.rate for cell in self.cells if cell.defence == defence and cell.attack != NO_ATTACK]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known and len(known) == len(rates) else None

    def accuracy_drop(self, cell: Cell) -> float | None:
        """Return the accuracy lost against FedAvg that nobody attacks, of shares; None: unknown."""
        free = next((one for one in self.cells if one.is_free), None)
        undefended = free.setting.mean("main_task_accuracy") if free else None
        accuracy = cell.setting.mean("main_task_accuracy")
        return None if undefended is None or accuracy is None else undefended - accuracy

    def _order(self, defence: str) -> float:
        worst = self.worst(defence)
        return math.inf if worst is None else worst


def matrices(runs: Sequence[Run]) -> list[Matrix]:
    """Return a matrix for each data set and each condition, such as a partition, that `runs` were under."""
    cells = sorted(_cells(by_setting(runs)), key=lambda cell: cell.where)
    return [Matrix(where, tuple(same)) for where, same in groupby(cells, lambda cell: cell.where)]


def sheet(matrix: Matrix) -> Sheet:
    """Return a matrix as text."""
    rows = matrix.rows()
    footnotes, noted = gather([_marks(row) for row in rows])
    return Sheet(
        title=f"{matrix.where}. {SAID}",
        columns=("Defence", *matrix.attacks, "worst ASR"),
        rows=tuple(
            (defence, *(_text(cell, matrix) for cell in row), percent(matrix.worst(defence)))
            for defence, row in zip(matrix.defences, rows, strict=True)
        ),
        num_names=1,
        footnotes=footnotes,
        noted=noted,
    )


def percent(share: float | None) -> str:
    """Write a share in per cent."""
    return UNKNOWN if share is None else f"{100 * share:.1f}"


def _cells(settings: Sequence[Setting]) -> list[Cell]:
    attacked = [setting.differing for setting in settings if _attacks(setting)]
    everywhere = [
        key for key in varying_keys([setting.differing for setting in settings]) if key not in NAMED
    ]
    of_attack = [key for key in varying_keys(attacked) if _is_threat(key) and key not in NAMED]
    of_defence = [key for key in everywhere if key.startswith("strategy.")]
    usual = {key: Counter(found.get(key) for found in attacked).most_common(1)[0][0] for key in of_attack}
    others = [key for key in everywhere if not (_is_threat(key) or key in of_defence)]
    return [
        Cell(
            setting,
            ", ".join([setting.runs[0].dataset, *_said(setting, others)]),
            ", ".join([setting.runs[0].strategy, *_said(setting, of_defence)]),
            _attack(setting, of_attack, usual),
        )
        for setting in settings
    ]


def _attack(setting: Setting, keys: Sequence[str], usual: Settings) -> str:
    """Name an attack by α, its plug-ins, and what is not as it is under most attacks."""
    if not _attacks(setting):
        return NO_ATTACK
    telling = [key for key in keys if key.endswith("._target_") or setting.differing.get(key) != usual[key]]
    return ", ".join([f"α = {setting.runs[0].alpha:g}", *_said(setting, telling)])


def _said(setting: Setting, keys: Sequence[str]) -> list[str]:
    found = {key: setting.differing.get(key) for key in keys}
    return [words(key, value) for key, value in found.items() if value is not None]


def _is_threat(key: str) -> bool:
    return key.startswith(("attack.", "selection."))


def _attacks(setting: Setting) -> bool:
    run = setting.runs[0]
    return run.attacks is not False and run.alpha is not None


def _marks(row: Sequence[Cell | None]) -> list[str]:
    return list(dict.fromkeys(mark for cell in row if cell is not None for mark in cell.setting.marks))


def _text(cell: Cell | None, matrix: Matrix) -> str:
    if cell is None or cell.rate is None:
        return DIVERGED if cell is not None and cell.setting.diverged else UNKNOWN
    lost = matrix.accuracy_drop(cell)
    return percent(cell.rate) if lost is None else f"{percent(cell.rate)} ({100 * lost:.1f})"
