"""Certificates and keys for other machines: ``fl-backdoor certs --host NAME --nodes N``."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from fl_backdoor.cli.output import answer
from fl_backdoor.core.errors import ConfigError

if TYPE_CHECKING:
    from fl_backdoor.engine.deployment.instructions import Step


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for and say what comes next; return 0, or 2 if it cannot be done."""
    asked = _parser().parse_args(arguments)
    return answer(lambda: _do(asked))


def _do(asked: argparse.Namespace) -> list[str]:
    from fl_backdoor.engine.deployment import authority, instructions
    from fl_backdoor.engine.deployment.key_files import exposed

    folder: Path = asked.out
    if asked.nodes is not None:
        if not asked.host:
            raise ConfigError("--host", "nothing", "a name or address by which nodes reach the server")
        authority.create(folder, asked.host, asked.nodes, asked.days)
        steps = instructions.everything(folder)
    elif asked.add_nodes is not None:
        if asked.host:
            raise ConfigError("--host", ", ".join(asked.host), "with --nodes or --renew alone")
        steps = instructions.for_nodes(folder, authority.add_nodes(folder, asked.add_nodes))
    else:
        authority.renew(folder, asked.days, asked.host)
        steps = instructions.for_renewal(folder)
    _say(instructions.summary(folder), steps)
    return exposed(*authority.secret_files(folder))


def _say(summary: str, steps: Iterable["Step"]) -> None:
    """Print commands unwrapped, so that they can be copied from any terminal."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(summary, style="bold"))
    for step in steps:
        console.print(Text(f"\n{step.title}"))
        for command in step.commands:
            console.print(Text(f"    {command}", style="cyan"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor certs",
        description="A certificate for the server, a secret for experiments, and a key for each node.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--nodes", type=int, metavar="N", help="make a new authority with keys for N nodes")
    what.add_argument("--add-nodes", type=int, metavar="N", help="make keys for N more nodes")
    what.add_argument("--renew", action="store_true", help="give the server a new certificate")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME_OR_IP",
        help="by which nodes reach the server, the first in the printed commands; may be given several times",
    )
    parser.add_argument(
        "--days", type=int, default=365, help="of the server's certificate; default: %(default)s"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("certs"), metavar="FOLDER", help="default: %(default)s"
    )
    return parser
