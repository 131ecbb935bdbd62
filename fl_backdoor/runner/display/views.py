"""What a watcher sees of runs that go on elsewhere: every round of one, or a line for each of many."""

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from fl_backdoor.analysis.course_line import course_line
from fl_backdoor.runner.display.follow import FollowedRun
from fl_backdoor.runner.display.live import Display, duration, round_line
from fl_backdoor.runs import runs


class OneRun:
    """All rounds of a run, as the process that makes them shows them.

    Parameters
    ----------
    display
        Where to show them.
    folder
        The run's folder.
    """

    def __init__(self, display: Display, folder: Path) -> None:
        self._display = display
        self._followed = FollowedRun(folder, folder.resolve().name)
        self._begun = False
        self._said: set[str] = set()
        self._silent_since: int | None = None

    @property
    def all_finished(self) -> bool:
        """Whether the run reached its last round, and has not diverged."""
        return self._followed.run.status == "finished"

    def look(self) -> bool:
        """Show what is new; return whether there may be more."""
        news = self._followed.look()
        if not self._begun:
            self._begin()
        for each in news:
            self._display.round_finished(each.row, each.clients, each.left)
        self._say_problems()
        if self._followed.ended:
            if course := course_line(self._followed.run.summary):
                self._display.line(course)
            self._display.run_finished(self._followed.run.status, self._followed.run.folder)
            return False
        if self._followed.cut_off:
            folder = self._followed.run.folder
            self._display.notice(f"nobody is at work on this run: go on with it by resume={folder}")
            self._display.run_finished("cut off", folder)
            return False
        self._say_silence()
        return True

    def _begin(self) -> None:
        self._display.run_started(self._followed.run.title, self._followed.num_rounds, how="watched")
        self._begun = True

    def _say_problems(self) -> None:
        if self._followed.settled or self._followed.ended:
            for problem in self._followed.run.problems:
                if problem not in self._said:
                    self._display.notice(problem)
                    self._said.add(problem)

    def _say_silence(self) -> None:
        silence, last = self._followed.silent_seconds(), self._followed.run.rounds_finished
        if silence is None or last == self._silent_since:
            return
        self._silent_since = last
        longest = self._followed.longest_round()
        usual = "" if longest is None else f", its rounds took {duration(longest)} at most"
        self._display.notice(f"nothing new for {duration(silence)}{usual}: the run may be dead")


class ManyRuns:
    """A line for each run below a folder; in a terminal the lines stay in their place. A context manager.

    Parameters
    ----------
    display
        Where to show them.
    folder
        The folder, such as a multirun's.
    expected
        How many runs there will be; 0: those that are there; None: nobody knows, there may always be more.
    """

    def __init__(self, display: Display, folder: Path, expected: int | None) -> None:
        self._console = display.console
        self._folder = folder
        self._expected = expected
        self._followed: dict[Path, FollowedRun] = {}
        self._shown: dict[Path, Text] = {}
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def all_finished(self) -> bool:
        """Whether all runs are there and reached their last round, and none has diverged."""
        return self._are_all_there and all(each.run.status == "finished" for each in self._followed.values())

    def look(self) -> bool:
        """Show what is new; return whether there may be more."""
        for folder in runs.run_folders(self._folder):
            name = folder.relative_to(self._folder).as_posix()
            self._followed.setdefault(folder, FollowedRun(folder, name))
        for each in self._followed.values():
            each.look()
        self._show()
        over = all(each.ended or each.cut_off for each in self._followed.values())
        return not (self._are_all_there and over)

    @property
    def _are_all_there(self) -> bool:
        return self._expected is not None and len(self._followed) >= self._expected

    def _show(self) -> None:
        width = max((len(each.run.name) for each in self._followed.values()), default=0)
        lines = {folder: _line(each, width) for folder, each in self._followed.items()}
        changed = [line for folder, line in lines.items() if line != self._shown.get(folder)]
        self._shown = lines
        if self._live is not None:
            self._live.update(Group(*lines.values()), refresh=True)
            return
        for line in changed:
            self._console.print(line)


def _line(followed: FollowedRun, width: int) -> Text:
    """Return a run's name, its last round, and how it ended or what is wrong."""
    run = followed.run
    line = Text(f"{run.name:<{width}}", no_wrap=True, overflow="ellipsis")
    if run.rounds:
        left = None if followed.ended else followed.seconds_left()
        line.append("  ").append_text(round_line(run.rounds[-1], (), followed.num_rounds, left))
    if followed.ended:
        line.append(f"  {run.status}", style="green" if run.status == "finished" else "red")
    elif followed.cut_off:
        line.append("  cut off", style="red")
    elif followed.silent_seconds() is not None:
        line.append("  nothing new for long: it may be dead", style="red")
    elif not run.rounds:
        line.append("  starting")
    if (followed.settled or followed.ended) and run.problems:
        line.append(f"  {run.problems[0]}", style="red")
    return line
