"""How the backdoor of a run went, in a line, for whoever has watched its rounds."""

from collections.abc import Mapping

from fl_backdoor.analysis.more_figures import MORE_FIGURES
from fl_backdoor.core import table

SHOWN = (
    "peak_attack_success_rate",
    "late_attack_success_rate",
    "rounds_to_open",
    "durability.rounds",
    "robust_accuracy",
    "worst_tenth_client_accuracy",
)


def course_line(summary: Mapping[str, table.Cell]) -> str | None:
    """Return what a summary, by dotted key, knows of `SHOWN`; None: nobody attacked, or it is not known."""
    if table.number(summary.get("peak_attack_success_rate")) is None:
        return None
    known = {name: found for name in SHOWN if (found := table.number(summary.get(name))) is not None}
    return "over all rounds  " + "  ".join(
        f"{MORE_FIGURES[name].head} {_text(name, found)}" for name, found in known.items()
    )


def _text(name: str, found: float) -> str:
    return f"{100 * found:.1f} %" if MORE_FIGURES[name].unit == "%" else f"{found:g}"
