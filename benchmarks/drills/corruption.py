"""Everything that a resume relies on, spoiled in every way: it must be refused in one line, and left alone.

A real run is killed after its second round. Copies of its folder are spoiled, one file in one way each; then
resume is asked whether it can go on, and what only reads is shown all of them at once.
"""

import contextlib
import io
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.drills.outcome import Options, Outcome
from fl_backdoor.cli import compare, report, table, watch
from fl_backdoor.config.schema import ExperimentConfig, parse
from fl_backdoor.core import reading
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.data.contents import contents_of
from fl_backdoor.runner import resume
from fl_backdoor.runs.runs import DATA
from tests.runner.test_resume import killed_after

NAMES = ("corruption",)
WHOLE = "whole"

RELIED_ON = (
    *("config.yaml", DATA, "labels.csv", "class_accuracy.csv"),
    *("rounds.csv", "clients.csv", "checkpoint.json", "model"),
)
"""Files; the last two lie in the checkpoint's folder."""


def _remove(file: Path, draw: random.Random) -> None:
    file.unlink()


def _empty(file: Path, draw: random.Random) -> None:
    os.truncate(file, 0)


def _cut(file: Path, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(1, file.stat().st_size - 1))


def _flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _garble(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(file.stat().st_size))


def _make_folder(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _make_pipe(file: Path, draw: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _make_endless(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


WAYS: Mapping[str, Callable[[Path, random.Random], None]] = {
    "removed": _remove,
    "emptied": _empty,
    "cut off": _cut,
    "a bit flipped": _flip,
    "garbled": _garble,
    "a folder in its place": _make_folder,
    "a pipe in its place": _make_pipe,
    "a link to an endless file": _make_endless,
}


def why_not() -> str | None:
    """Return why this machine cannot do them: there is no reason."""
    return None


def outcomes(names: Sequence[str], options: Options) -> Iterator[Outcome]:
    """Spoil copies of a run that was killed, try to resume each, and read all of them at once."""
    assert names == list(NAMES)
    with tempfile.TemporaryDirectory() as scratch:
        killed = killed_after(2, Path(scratch))
        yield _resumed(killed, Path(scratch) / "resumed", options)
        yield _read(Path(scratch) / "resumed")


def _resumed(killed: Path, copies: Path, options: Options) -> Outcome:
    begun = time.monotonic()
    config = parse(reading.yaml_values(killed / "config.yaml"))  # type: ignore[arg-type]
    draw = random.Random(options.seed)
    lost = []
    for name in RELIED_ON:
        for way, spoil in WAYS.items():
            folder = copies / f"{name}, {way}".replace(" ", "_")
            shutil.copytree(killed, folder)
            spoil(_file(folder, name), draw)
            lost += [f"{name}, {way}: {what}" for what in _refused(config, folder)]
    shutil.copytree(killed, copies / WHOLE)
    resume.check_can_go_on(config, contents_of(config.dataset), copies / WHOLE)
    kinds = len(RELIED_ON) * len(WAYS)
    return Outcome(
        f"{kinds} kinds of corruption in what a resume relies on",
        f"{kinds - len(lost)} refused in one line and left as they were; the whole one goes on",
        lost,
        time.monotonic() - begun,
        {"seed": options.seed},
    )


def _refused(config: ExperimentConfig, folder: Path) -> list[str]:
    before = _content(folder)
    said = None
    try:
        resume.check_folder(folder, multirun=False)
        resume.check_can_go_on(config, contents_of(config.dataset), folder)
    except FlBackdoorError as error:
        said = str(error)
    if said is None:
        return ["it goes on all the same"]
    return [
        what
        for what, is_so in (
            (f"more than a line: {said!r}", not said.isprintable()),
            ("something in the folder was touched", _content(folder) != before),
        )
        if is_so
    ]


def _read(copies: Path) -> Outcome:
    begun = time.monotonic()
    page = copies.parent / "report.html"
    lost = []
    commands: dict[str, Callable[[], int]] = {
        "table": lambda: table.main([str(copies)]),
        "compare": lambda: compare.main([str(copies), str(copies / WHOLE)]),
        "report": lambda: report.main([str(copies), "--out", str(page)]),
        "watch": lambda: watch.main(["--once", str(copies)]),
    }
    for name, command in commands.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                command()
        except Exception as error:  # whatever it is: the drill goes on and says so
            lost.append(f"{name}: {type(error).__name__}: {error}")
    return Outcome(
        f"all of them read by {', '.join(commands)}",
        f"{len(commands) - len(lost)} of {len(commands)} commands came to their end",
        lost,
        time.monotonic() - begun,
    )


def _file(folder: Path, name: str) -> Path:
    if name == "model":
        return next((folder / "checkpoint").glob("round-*.safetensors"))
    return folder / "checkpoint" / name if name == "checkpoint.json" else folder / name


def _content(folder: Path) -> dict[Path, bytes | None]:
    """Return what can be read of a folder without waiting for it."""
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }
