"""Every command that the documents print can be given: settings are composed and checked, benchmarks run.

What a command of the bench would do is tested elsewhere; here it is that its words still mean something: each
of them, and each two that stand together, in one command or in another. Of a sweep each choice of a group
is composed, and of numbers the first.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from benchmarks.__main__ import NAMES
from benchmarks.server import FLOWERS, OURS, Size, prepare_flowers, prepare_ours
from fl_backdoor.cli.program import COMMANDS
from fl_backdoor.config.schema import DeploymentConfig, parse_whole
from fl_backdoor.runner.checks import check_heavy, check_light
from fl_backdoor.runner.composition import composed
from tests.documents.commands import REPOSITORY, Command, documented
from tests.drill import drill
from tests.made_sentences import write_sst2

DOCUMENTED = documented()
READERS_PACKAGE = "my_lab"
"""A package that the reader is told how to write, see `tests.documents.test_extending`."""

RUNS = [
    command
    for command in DOCUMENTED
    if command.module == "fl_backdoor.main" and READERS_PACKAGE not in " ".join(command.arguments)
]
BENCHMARKS = [command for command in DOCUMENTED if command.module.startswith("benchmarks")]
OTHERS = [
    command for command in DOCUMENTED if not command.module.startswith(("benchmarks", "fl_backdoor.main"))
]

KNOWN_BEFOREHAND = {"auto", "cifar10", "cifar100", "fashion_mnist", "mnist5k", "sst2"}
CHOICES = {file.stem for file in (REPOSITORY / "conf" / "dataset").glob("*.yaml")}
STARTS = {"start=file", "start=run", "start=torchvision"}
READERS_FILES = STARTS | {f"dataset={name}" for name in CHOICES - KNOWN_BEFOREHAND}
"""They cannot be checked where the reader's files are not; they are composed."""

BEFORE_THE_RUN = ("resume=", "hydra.")
"""Settings that name a folder of the reader's, or are Hydra's own."""


def alternatives(arguments: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield command lines of single runs in which each choice of a swept group comes once."""
    settings = [a for a in arguments if a.startswith("~") or ("=" in a and not a.startswith("-"))]
    axes: list[list[str]] = []
    for override in OverridesParser.create().parse_overrides(settings):
        if override.is_discrete_sweep():
            key = override.get_key_element()
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            axes.append([override.input_line])
    groups = [axis for axis in axes if not axis[0].rpartition("=")[2][:1].isdigit()]
    for number in range(max((len(axis) for axis in groups), default=1)):
        yield [axis[number % len(axis)] if axis in groups else axis[0] for axis in axes]


def shapes(commands: list[Command]) -> dict[tuple[str, ...], Command]:
    """Return single runs to compose, each once: commands that differ in numbers alone are one."""
    found: dict[tuple[str, ...], Command] = {}
    for command in commands:
        kept = tuple(a for a in command.arguments if not a.startswith(BEFORE_THE_RUN) and a != "…")
        for run in alternatives(kept):
            shape = [item.partition("=")[0] if item[-1:].isdigit() else item for item in run]
            found.setdefault(tuple(sorted(shape)), Command(command.module, tuple(run), command.where))
    return found


def enough(runs: Mapping[tuple[str, ...], Command]) -> list[Command]:
    """Return so many runs that any two words of one stand together in some of them; long ones come first."""
    chosen, met = list[Command](), set[tuple[str, str]]()
    for shape in sorted(runs, key=lambda shape: (-len(shape), shape)):
        pairs = set(combinations_with_replacement(shape, 2))
        if not pairs <= met:
            chosen.append(runs[shape])
            met |= pairs
    return chosen


SHAPES = enough(shapes(RUNS))


def test_the_documents_print_commands_of_every_kind():
    assert len(RUNS) > 100
    assert len(SHAPES) > 60
    modules = {command.module for command in OTHERS}
    assert modules == {f"fl_backdoor.cli.{name}" for name in COMMANDS if name != "run"}


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reviews, whose vocabulary is read before a run."""
    with pytest.MonkeyPatch.context() as patch:
        root = write_sst2(tmp_path_factory.mktemp("data"))
        reviews = root / "sst2" / "train.txt"
        others = reviews.read_text(encoding="utf-8").splitlines(keepends=True)[9:]
        reviews.write_text("".join(["1 i watched this 3d movie\n"] * 9 + others), encoding="utf-8")
        patch.setenv("FL_BACKDOOR_DATA", str(root))
        yield


@pytest.mark.parametrize("command", SHAPES, ids=str)
def test_a_run_is_composed_and_checked(command: Command):
    (plain,) = composed(list(command.arguments))
    config = parse_whole(plain)[0]
    if set(command.arguments) & READERS_FILES:
        return
    checked = check_light(config)
    if not isinstance(checked.config.engine, DeploymentConfig):  # it reads the reader's certificates
        check_heavy(checked)


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_other_commands_understand_their_arguments(command: Command):
    if set(command.arguments) - {"…"}:
        import_module(command.module)._parser().parse_args(command.arguments)


def test_all_benchmarks_that_are_named_are_there():
    named = {name for command in BENCHMARKS if command.module == "benchmarks" for name in command.arguments}
    assert named - {"--small"} <= set(NAMES)
    modules = {command.module for command in BENCHMARKS} - {"benchmarks"}
    assert modules == {f"benchmarks.{name}" for name in ("triggers", "false_alarms", "components", "drills")}


@pytest.fixture
def ran(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Call the `main` of a module with a command line, in this process, and return what it prints."""

    def run(module: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        import_module(module).main()
        return capsys.readouterr().out

    num_threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(num_threads)


def test_benchmarks_run(ran: Callable[..., str], tmp_path: Path):
    names, out = ("server", "engine", "augmentation", "gpu"), tmp_path / "benchmarks.json"
    ran("benchmarks.__main__", *names, "--small", "--repeats", "1", "--out", str(out))
    written = out.read_text(encoding="utf-8")
    assert all(f'"{name}"' in written for name in names)


@pytest.mark.parametrize("rule", OURS)
def test_the_server_benchmark_knows_how_to_call_each_rule(rule: str):
    prepare_ours(rule, Size(11, 100))()
    if rule in FLOWERS:
        prepare_flowers(rule, Size(11, 100))()


def test_false_alarms_are_counted(ran: Callable[..., str]):
    assert ran("benchmarks.false_alarms", "--small").count(" %") >= 6 * 4


def test_the_picture_of_triggers_is_drawn(ran: Callable[..., str], tmp_path: Path):
    ran("benchmarks.triggers", str(tmp_path / "triggers.png"))
    assert (tmp_path / "triggers.png").read_bytes().startswith(b"\x89PNG")


@drill
def test_components_are_written_and_drawn(ran: Callable[..., str], tmp_path: Path):
    written, run, picture = tmp_path / "components.csv", tmp_path / "run", tmp_path / "figure.png"
    watched = ("strategy._target_=benchmarks.components.Watched", f"+strategy.file={written}")
    small = ("dataset=mnist5k", "num_rounds=4", "client.local_steps=1", "engine.num_workers=1")
    program = [sys.executable, "-m", "fl_backdoor.main", *watched, *small]
    program += [f"hydra.run.dir={run}", f"outputs={tmp_path}"]
    process = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr[-2000:]
    ran("benchmarks.components", str(written), str(run), str(run), str(picture))
    assert len(written.read_text(encoding="utf-8").splitlines()) == 1 + 2 * 10  # from round 3 on
    assert picture.read_bytes().startswith(b"\x89PNG")
