"""Which data sets there are, and what of them is here: ``fl-backdoor data list`` and ``data check NAME``."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from fl_backdoor.cli.output import LONGEST, answer
from fl_backdoor.core.errors import ConfigError, DataError
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.core.plugins import TARGET

if TYPE_CHECKING:
    from fl_backdoor.data.catalogue import Entry
    from fl_backdoor.data.dataset import LabelledDataset

NOT_COMPLETE = 1
NOT_HERE = "–"
STAND_IN = "auto"
"""The choice that is one of the others."""

Settings = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """List or check data sets; return 0, 1 if the checked one is not complete, 2 if asked wrongly."""
    asked = _parser().parse_args(arguments)
    faults: list[str] = []
    return answer(lambda: asked.do(asked, faults)) or (NOT_COMPLETE if faults else 0)


@dataclass(frozen=True)
class Choice:
    """A choice of the group ``dataset``.

    Parameters
    ----------
    name
        What it is called.
    preset
        Its file: class and settings.
    settings
        The same with what the user asked for; nothing is downloaded.
    """

    name: str
    preset: Settings
    settings: Settings

    def build(self) -> "LabelledDataset":
        """Return the data set; raises ConfigError, or DataError where a folder is not there."""
        from fl_backdoor.core import plugins

        dataset: LabelledDataset = plugins.build(self.settings, "dataset")
        return dataset

    def entry(self) -> "Entry | None":
        """Return what is published of the data set, if with these settings it is that one."""
        from fl_backdoor.data.catalogue import CATALOGUE
        from fl_backdoor.data.inspection import CHANGE_NO_NUMBER

        other = {key for key, value in self.settings.items() if value != self.preset.get(key)}
        return None if other - CHANGE_NO_NUMBER else CATALOGUE.get(self.name)


def _list(asked: argparse.Namespace, _faults: list[str]) -> list[str]:
    rows: list[tuple[str, ...]] = [("dataset=", "classes", "training", "test", "what", "here")]
    absent = []
    for name in _names():
        choice = _choice(name, dict(asked.settings))
        if (entry := choice.entry()) is None:
            continue
        numbers = (f"{n:,}" if n else "?" for n in (entry.num_classes, entry.num_train, entry.num_test))
        here = _here(choice)
        rows.append((name, *numbers, entry.kind, here))
        if here == NOT_HERE:
            absent.append((name, entry.source))
    _write(rows)
    if absent:
        sys.stdout.write(
            "\nWhere to get what is not here; fl-backdoor data check NAME says which files go where:\n"
        )
        _write(absent)
    generic = ", ".join(name for name in _names() if _choice(name, {}).entry() is None)
    sys.stdout.write(f"\nAny others, see docs/data.md: dataset={generic}\n")
    return []


def _here(choice: Choice) -> str:
    """Return the folder of a data set; what lies in the cache alone is not opened for it."""
    try:
        dataset = choice.build()
        source = dataset.locate()
    except DataError:
        return NOT_HERE
    if source is not None:
        return str(source.folder)
    is_cached = not dataset.root_is_named and any(dataset.cache.glob(f"{dataset.cached_as}-*"))
    return str(dataset.cache) if is_cached else NOT_HERE


def _check(asked: argparse.Namespace, faults: list[str]) -> list[str]:
    from fl_backdoor.data.dataset import root_folder
    from fl_backdoor.data.inspection import Finding, inspect, wanted

    choice = _choice(asked.name, dict(asked.settings))
    entry = choice.entry()
    findings: list[Finding] = []
    try:
        findings.extend(inspect(choice.build(), entry, choice.settings))
    except DataError as error:  # some look for their folder when they are built
        findings.append(Finding("absent", str(error), is_fault=True))
        findings.extend(wanted(root_folder(choice.settings["root"]), entry, choice.settings))
    faults.extend(finding.told for finding in findings if finding.is_fault)
    _write([("wrong" if one.is_fault else "", one.what, one.told) for one in findings])
    sys.stdout.write(f"{choice.name}: {'not complete' if faults else 'complete'}\n")
    return []


def _write(rows: Sequence[Sequence[str]]) -> None:
    clean = [[cleaned(cell, LONGEST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _names() -> list[str]:
    folder = resources.files("conf") / "dataset"
    names = (file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return sorted(name for name in names if name != STAND_IN)


def _choice(name: str, given: Settings) -> Choice:
    import yaml

    if name not in _names():
        raise ConfigError("data set", name, f"must be one of {', '.join(_names())}")
    preset = yaml.safe_load(
        (resources.files("conf") / "dataset" / f"{name}.yaml").read_text(encoding="utf-8")
    )
    quiet = {"download": False} if "download" in preset else {}
    return Choice(name, preset | quiet, {**preset, **given} | quiet)


def _setting(text: str) -> tuple[str, Any]:
    """Return name and value of a setting as it stands on the command line of a run."""
    import yaml

    key, equals, value = text.removeprefix("dataset.").partition("=")
    if not equals or key == TARGET:
        raise argparse.ArgumentTypeError(f"{text} is no SETTING=VALUE")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text}: not a value of YAML") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor data", description="Which data sets there are, and what of them is on this machine."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="all that have a name, where they are, and where to get them")
    listing.set_defaults(do=_list)
    check = commands.add_parser("check", help="read one, and say what is there and what is missing or wrong")
    check.add_argument("name", metavar="NAME", help="as in dataset=NAME")
    check.set_defaults(do=_check)
    for command in (listing, check):
        command.add_argument(
            "settings",
            nargs="*",
            type=_setting,
            metavar="SETTING=VALUE",
            help="of the data set, such as root=/data; default: as in a run",
        )
    return parser
