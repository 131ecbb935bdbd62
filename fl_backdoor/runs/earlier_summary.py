"""A summary as earlier versions of this program have written it, with what is known by now."""

from collections.abc import Sequence
from dataclasses import asdict

from fl_backdoor.core.table import Row
from fl_backdoor.metrics.cost import client_seconds
from fl_backdoor.metrics.course import course
from fl_backdoor.runs import round_table
from fl_backdoor.runs.columns import LATER_FIGURES
from fl_backdoor.runs.summary import detection_totals

TRUE_POSITIVES = ("true_positives", "true_positive_rate")
"""What summaries of earlier versions count as this one does."""


def completed(summary: Row, rounds: Sequence[Row], clients: Sequence[Row], *, attacks: bool) -> Row:
    """Return a summary with what earlier versions did not tell yet, without what they counted otherwise.

    Parameters
    ----------
    summary
        By dotted key.
    rounds, clients
        The run's tables, empty where they were not read: what follows from them is unknown then.
    attacks
        Whether the run differs from one without attackers.
    """
    whole = {"diverged": None} | dict.fromkeys(LATER_FIGURES) | summary
    if "diverged" not in summary and (reason := round_table.lost(summary)):
        whole["diverged"] = reason
        whole["status"] = "diverged" if summary.get("status") == "finished" else summary.get("status")
    if "rounds_to_open" not in summary:
        whole |= asdict(course(rounds, clients)) | asdict(client_seconds(clients))
    if "false_positive_rate" in summary and "client_false_positive_rate" not in summary:
        # False positives held idle rounds of malicious clients then.
        known = summary if not clients else {}
        whole |= detection_totals(clients, attacks=attacks)
        whole |= {name: known[name] for name in TRUE_POSITIVES if name in known}
    return whole
