import json
import math

import pytest

from fl_backdoor.analysis.objective import objective
from fl_backdoor.core import table
from fl_backdoor.runs.columns import ROUND_COLUMNS


@pytest.fixture
def finished(tmp_path, write_run, round_row):
    """Write a run that ended with an ASR of 0.9; a share of the attackers' updates was flagged."""

    def write(detected, status="finished"):
        folder = write_run("run", {"seed": 0}, status=status, true_positive_rate=detected)
        rows = [round_row(server_round=t, attack_success_rate=asr) for t, asr in enumerate((0.1, 0.95, 0.9))]
        (folder / "rounds.csv").write_bytes(table.header(ROUND_COLUMNS) + table.lines(rows, ROUND_COLUMNS))
        return folder

    return write


@pytest.mark.parametrize(
    ("detected", "bound", "found"),
    [(0.2, 0.2, 0.9), (0.5, 0.2, -0.3), (1.0, 0.2, -0.8), (1.0, None, 0.9), (None, 0.2, 0.9)],
)
def test_the_last_asr_counts_unless_the_monitor_saw_too_much(finished, detected, bound, found):
    assert objective(finished(detected), "attack_success_rate", bound) == pytest.approx(found)


def test_what_was_not_finished_or_is_not_known_is_no_number(finished):
    folder = finished(0.0)
    assert math.isnan(objective(folder, "success_rate", None))
    summary = json.loads((folder / "summary.json").read_text()) | {"status": "stopped"}
    (folder / "summary.json").write_text(json.dumps(summary))
    assert math.isnan(objective(folder, "attack_success_rate", None))
