"""What the user sees while a run goes on: a line a round, and the time that is left."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from fl_backdoor.core.foreign_text import printable

Row = Mapping[str, object]

MARK = "*"
"""Behind the id of a malicious client."""


class Display:
    """Rounds on a terminal, or as plain lines where there is none; a context manager.

    Parameters
    ----------
    stream
        Where to write.
    terminal
        Whether `stream` is a terminal; None: ask it.
    """

    def __init__(self, stream: TextIO, *, terminal: bool | None = None) -> None:
        self.console = Console(file=stream, force_terminal=terminal, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._num_rounds = 0
        self._first: tuple[int, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_progress()

    def run_started(self, title: str, num_rounds: int, how: str = "starting the clients") -> None:
        """Announce a run, and what it is at."""
        self._num_rounds, self._first = num_rounds, None
        self.console.print(Text(f"{title} · {num_rounds} rounds · {how}", style="bold"))
        if self.console.is_terminal:
            self._begin_progress()

    def round_finished(self, row: Row, clients: Sequence[Row], left: float | None = None) -> None:
        """Show a finished round; round 0 is the model that nobody has trained yet.

        Parameters
        ----------
        row, clients
            The round's row, and those of its clients.
        left
            Seconds that the other rounds will take; None: that goes by when rounds are shown.
        """
        server_round = row["server_round"]
        assert isinstance(server_round, int)
        now = time.monotonic()
        if server_round > 0 and self._first is None:
            self._first = server_round, now
        left = self._seconds_left(server_round, now) if left is None else left
        self.console.print(round_line(row, clients, self._num_rounds, left))
        if self._progress is not None:
            self._progress.update(self._task, completed=server_round, left=duration(left))

    def step(self, what: str, done: int, to_do: int) -> None:
        """Show what the round that is under way is at; only a terminal does."""
        if self._progress is not None:
            self._progress.update(self._task, step=f"{done}/{to_do} {what}")

    def notice(self, text: str) -> None:
        """Say something that nobody is to miss."""
        text = printable(text)
        if self.console.is_terminal:
            panel = Panel(Text(text), title="NOTICE", border_style="yellow")
            self.console.print(panel, soft_wrap=False)
        else:
            self._plain(f"NOTICE: {text}")

    def line(self, text: str) -> None:
        """Pass on what another process has to say."""
        self._plain(text)

    def error(self, text: str) -> None:
        """Say in one line what went wrong."""
        self._end_progress()
        self.console.print(Text(f"fl_backdoor: {printable(text)}", style="bold red"))

    def run_finished(self, summary: str, folder: Path) -> None:
        """Say how a run ended and where its files are."""
        self._end_progress()
        self._plain(f"{summary}: {folder}")

    def _plain(self, text: str) -> None:
        self.console.print(Text(text))
        self.console.file.flush()

    def _begin_progress(self) -> None:
        self._progress = Progress(
            TextColumn("round"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),  # 80 columns hold the rest
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            TextColumn("{task.fields[step]}", style="dim"),
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task("rounds", total=self._num_rounds, left="?", step="")
        self._progress.start()

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _seconds_left(self, server_round: int, now: float) -> float | None:
        # The first round holds the start of all workers and says nothing about the others.
        if self._first is None or server_round <= self._first[0]:
            return None
        first, ended = self._first
        return (now - ended) / (server_round - first) * (self._num_rounds - server_round)


def round_line(row: Row, clients: Sequence[Row], num_rounds: int, left: float | None) -> Text:
    """Return a round as a line; without `clients` it says nothing of any of them."""
    width = len(str(num_rounds))
    line = Text(f"round {row['server_round']:>{width}}/{num_rounds}")
    for name, column in (
        ("accuracy", "main_task_accuracy"),
        ("ASR", "attack_success_rate"),
        ("SR", "success_rate"),
    ):
        line.append(f"  {name} {_percent(row[column])}")
    if row["diverged"]:
        line.append(f"  diverged: {row['diverged']}", style="bold red")
    if clients:
        line.append_text(_who("filtered", [client for client in clients if client["filtered"]]))
        clipped = [client for client in clients if _is_clipped(client)]
        line.append_text(_who("clipped", clipped))
        flagged = [client for client in clients if client["flagged"] and not client["filtered"]]
        if flagged not in ([], clipped):
            line.append_text(_who("flagged", flagged))
        line.append_text(_who("rejected", [client for client in clients if client["rejected"]]))
        if row["model_updated"] is False:
            line.append("  model kept: too few usable replies", style="bold red")
    seconds = [row[name] for name in ("train_seconds", "aggregate_seconds", "evaluate_seconds")]
    line.append(f"  {sum(value for value in seconds if isinstance(value, float)):.1f} s")
    if left is not None:
        line.append(f"  left {duration(left)}")
    return line


def _who(what: str, clients: Sequence[Row]) -> Text:
    """Name clients; the malicious ones are marked."""
    text = Text(f"  {what}")
    for client in clients:
        if client["malicious"]:
            text.append(f" {client['client_id']}{MARK}", style="red")
        else:
            text.append(f" {client['client_id']}")
    return text if clients else text.append(" -")


def _is_clipped(client: Row) -> bool:
    coefficient = client["clip_coefficient"]
    return isinstance(coefficient, float) and coefficient < 1


def _percent(share: object) -> str:
    return f"{100 * share:5.1f} %" if isinstance(share, float) else "    ? %"


def duration(seconds: float | None) -> str:
    """Write seconds as minutes or hours; None: unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
