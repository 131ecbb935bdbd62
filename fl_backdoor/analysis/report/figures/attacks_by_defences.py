"""How far each attack opens the backdoor under each defence."""

from fl_backdoor.analysis.report.cases import NO_ATTACK, Comparison
from fl_backdoor.analysis.report.figure import Grid

Cell = tuple[str, str]
"""An attack and a defence."""


def attacks_by_defences(comparison: Comparison) -> list[Grid]:
    """Return a heat map of ASR; nothing unless there are two defences and two attacks."""
    known = {
        key: rate for key, rate in (_baselines(comparison) | _rates(comparison)).items() if rate is not None
    }
    scenarios = dict.fromkeys([*(row for row, _ in _baselines(comparison)), *comparison.scenarios])
    rows = tuple(name for name in scenarios if any(name == row for row, _ in known))
    columns = tuple(name for name in comparison.defences if any(name == column for _, column in known))
    if len(rows) < 2 or len(columns) < 2:
        return []
    return [
        Grid(
            "attacks_by_defences",
            "Attacks and defences",
            "ASR after the last round, mean over seeds, in per cent; empty: no finished run, or all "
            "have diverged. Where nobody "
            "attacks, it is the clean baseline.",
            "attack",
            "defence",
            "ASR",
            rows,
            columns,
            tuple(tuple(known.get((row, column)) for column in columns) for row in rows),
            percent=True,
        )
    ]


def _rates(comparison: Comparison) -> dict[Cell, float | None]:
    return {(case.scenario, case.defence): case.mean("attack_success_rate") for case in comparison.cases}


def _baselines(comparison: Comparison) -> dict[Cell, float | None]:
    """Return the clean baselines that runs under attack know."""
    return {
        (", ".join(filter(None, (NO_ATTACK, case.conditions))), case.defence): baseline
        for case in comparison.cases
        if (baseline := case.mean("clean_attack_success_rate")) is not None
    }
