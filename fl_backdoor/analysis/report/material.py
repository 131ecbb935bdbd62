"""All that a report is made from, read from the folders once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.analysis.clean_baseline import fill_clean_figures
from fl_backdoor.analysis.report.cases import Case, Comparison, compare
from fl_backdoor.analysis.report.verdict import Verdict, judge
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.run import Run
from fl_backdoor.runs.runs import find_all

MOST_LINES = 8
"""Settings in one figure by round."""


@dataclass(frozen=True)
class Chapter:
    """What is told of one data set.

    Parameters
    ----------
    comparison
        All its runs.
    verdicts
        One for each defence that was attacked.
    cases
        Those that are shown by round: all of them if they are few, else the worst for each defence.
    """

    comparison: Comparison
    verdicts: tuple[Verdict, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Material:
    """Runs, sorted and judged.

    Parameters
    ----------
    runs
        All runs that could be read, at least one.
    chapters
        One for each data set.
    detailed
        Runs that are shown one by one.
    problems
        What could not be read, a line each.
    """

    runs: tuple[Run, ...]
    chapters: tuple[Chapter, ...]
    detailed: tuple[Run, ...]
    problems: tuple[str, ...]

    @property
    def cases(self) -> list[Case]:
        """The rows of all chapters."""
        return [case for chapter in self.chapters for case in chapter.comparison.cases]


def gather(folders: Sequence[Path], most_detailed: int) -> Material:
    """Read all runs in and below `folders`.

    Raises
    ------
    FlBackdoorError
        If there is nothing to show; a line for each reason.
    """
    found, problems = find_all(folders)
    runs = [run for run in found if run.tells_anything]
    problems += [problem for run in found for problem in run.problems]
    if not runs:
        raise FlBackdoorError("\n".join(problems))
    fill_clean_figures(runs)
    chapters = tuple(_chapter(comparison) for comparison in compare(runs))
    return Material(tuple(runs), chapters, _detailed(chapters, most_detailed), tuple(problems))


def _chapter(comparison: Comparison) -> Chapter:
    verdicts = tuple(judge(comparison))
    cases = comparison.cases
    if len(cases) > MOST_LINES:
        cases = tuple(verdict.case for verdict in verdicts)[:MOST_LINES] or cases[:MOST_LINES]
    return Chapter(comparison, verdicts, cases)


def _detailed(chapters: Sequence[Chapter], most: int) -> tuple[Run, ...]:
    """Return the first run of each case that is judged, up to `most`; of all cases, if none is judged."""
    judged = [verdict.case for chapter in chapters for verdict in chapter.verdicts]
    cases = judged or [case for chapter in chapters for case in chapter.comparison.cases]
    return tuple(case.shown()[0] for case in cases[:most])
