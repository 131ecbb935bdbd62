"""The end of the page: what could not be read, what was left out, and every run."""

from fl_backdoor.analysis.report.html import Html, element, folded, table
from fl_backdoor.analysis.report.material import Material
from fl_backdoor.analysis.report.words import counted
from fl_backdoor.runs.run import Run


def notes(material: Material) -> Html:
    """Return problems, marks and the list of runs."""
    return element(
        "section",
        element("h2", "What could not be read, and what to know"),
        *_list("Could not be read", list(material.problems)),
        *_list("To know before believing a run", _marks(material)),
        *_list("Left out", _left_out(material)),
        folded(f"All {counted(len(material.runs), 'run')}", _runs(material)),
        id="notes",
    )


def _list(title: str, lines: list[str]) -> list[Html]:
    if not lines:
        return []
    content = element("ul", *(element("li", line) for line in lines))
    return [element("h3", title), content if len(lines) <= 20 else folded(f"{len(lines)} lines", content)]


def _marks(material: Material) -> list[str]:
    return [f"{run.name}: {mark}" for run in material.runs for mark in run.marks]


def _left_out(material: Material) -> list[str]:
    repeated = [
        f"{run.name}: its seed has run with the same settings elsewhere; of each seed one run counts"
        for case in material.cases
        for run in case.runs
        if run.status == "finished" and run not in case.setting.finished
    ]
    rest = len(material.runs) - len(material.detailed)
    single = f"{counted(rest, 'run')} not shown one by one; --details takes more, or give their folders alone"
    return [*repeated, *([single] if rest else [])]


def _runs(material: Material) -> Html:
    rows = [_row(run) for run in material.runs]
    header = ["run", "data set", "strategy", "α", "seed", "status", "rounds", "command"]
    return table(header, rows, "All runs", class_="settings")


def _row(run: Run) -> list[str]:
    known = (run.alpha, run.seed, run.status, run.rounds_finished, run.summary.get("command"))
    return [run.name, run.dataset, run.strategy, *("" if found is None else str(found) for found in known)]
