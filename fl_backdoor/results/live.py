"""What a run shows while it goes on: a line a round, and in a terminal a progress bar below them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from fl_backdoor.results.table import number

MOST_IDS = 12
"""With more clients than this a line gives their number instead of their ids."""

Row = Mapping[str, object]


class Display:
    """Shows runs one after another; use it as a context manager.

    Elsewhere than in a terminal it writes plain lines, each at once and in one piece.

    Parameters
    ----------
    console
        Where to write; default: standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._num_rounds = 0
        self._seconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_progress()

    def run_started(self, title: str, num_rounds: int) -> None:
        """Show the run's `title`; `num_rounds` of training follow, after the initial model as round 0."""
        self._stop_progress()
        self._num_rounds, self._seconds = num_rounds, []
        self._line(Text(title, style="bold"))
        if self._console.is_terminal:
            self._progress = _progress(self._console)
            self._task = self._progress.add_task("", total=num_rounds, left="-")
            self._progress.start()

    def round_finished(self, round_row: Row, client_rows: Sequence[Row]) -> None:
        """Show a round, given its rows in ``rounds.csv`` and ``clients.csv``."""
        server_round = int(number(round_row["server_round"]) or 0)
        seconds = round_seconds(round_row)
        if server_round > 0:
            self._seconds.append(seconds)
        left = self._time_left(server_round)
        line = round_line(round_row, client_rows, self._num_rounds)
        line.append(f"  {seconds:.1f} s")
        if self._progress is None:
            line.append(f"  left {left}")
        else:
            self._progress.update(self._task, completed=server_round, left=left)
        self._line(line)

    def notice(self, text: str) -> None:
        """Show a line that nobody misses."""
        if self._console.is_terminal:
            self._console.print(Panel(Text(text), title="NOTICE", border_style="bold yellow"))
        else:
            self._line(Text(f"NOTICE: {' '.join(text.split())}"))

    def run_finished(self, summary: str, path: Path) -> None:
        """Show in one line what the run came to, and where its folder is."""
        self._stop_progress()
        self._line(Text(summary, style="bold"))
        self._line(Text(f"results in {path}"))

    def _time_left(self, server_round: int) -> str:
        # The first round is slow, since workers start in it: the median is not misled by that.
        if not self._seconds:
            return "-"
        return clock((self._num_rounds - server_round) * median(self._seconds))

    def _line(self, text: Text) -> None:
        # Only a terminal knows its width; elsewhere a line stays one line.
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def round_line(round_row: Row, client_rows: Sequence[Row], num_rounds: int) -> Text:
    """Return the figures of a round and who was treated specially; malicious clients are red, with a star."""
    digits = len(str(num_rounds))
    line = Text(f"round {round_row['server_round']!s:>{digits}}/{num_rounds}")
    line.append(f"  accuracy {percent(round_row['main_task_accuracy'])}")
    line.append(f"  ASR {percent(round_row['attack_success_rate'])}")
    line.append(f"  SR {percent(round_row['success_rate'])}")
    filtered = [row for row in client_rows if row["filtered"]]
    clipped = [row for row in client_rows if _is_clipped(row)]
    flagged = [row for row in client_rows if row["flagged"] and not row["filtered"]]
    for word, rows in (("filtered", filtered), ("clipped", clipped), ("flagged", flagged)):
        if rows:
            line.append(f"  {word} ").append_text(_clients(rows))
    rejected = [row for row in client_rows if row["rejected"]]
    return line.append("  rejected ").append_text(_clients(rejected))


def percent(share: object) -> str:
    """Write a share in [0, 1] as per cent; ``-`` where unknown."""
    known = number(share)
    return "-" if known is None else f"{100 * known:.1f} %"


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def round_seconds(round_row: Row) -> float:
    """Return how long a round took: training, aggregation and evaluation."""
    parts = ("train_seconds", "aggregate_seconds", "evaluate_seconds")
    return sum(number(round_row[name]) or 0.0 for name in parts)


def _is_clipped(row: Row) -> bool:
    coefficient = number(row["clip_coefficient"])
    return coefficient is not None and coefficient < 1


def _clients(rows: Sequence[Row]) -> Text:
    if not rows:
        return Text("-")
    if len(rows) > MOST_IDS:
        num_malicious = sum(bool(row["malicious"]) for row in rows)
        return Text(f"{len(rows)} clients, {num_malicious}*")
    return Text(" ").join([_client(row) for row in rows])


def _client(row: Row) -> Text:
    malicious = bool(row["malicious"])
    return Text(
        f"{row['client_id']}*" if malicious else str(row["client_id"]), "bold red" if malicious else ""
    )


def _progress(console: Console) -> Progress:
    return Progress(
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} rounds"),
        TimeElapsedColumn(),
        TextColumn("left {task.fields[left]}"),
        console=console,
        transient=True,
    )
