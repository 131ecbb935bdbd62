"""The command line: ``fl-backdoor COMMAND …``, or ``python -m fl_backdoor COMMAND …``.

A command is a module of this folder, imported when it is asked for: its `main` is given what follows the
command's name, and returns the exit code.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from fl_backdoor import __version__
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.foreign_text import printable
from fl_backdoor.runner.display.terminal import as_process

COMMANDS = {
    "run": "an experiment, or a sweep with -m: fl-backdoor run strategy=hybrid",
    "data": "which data sets there are, and what of them is on this machine",
    "report": "one HTML page about runs",
    "table": "a table of runs for a paper",
    "matrix": "defences by attacks: ASR, and the accuracy that a defence costs",
    "compare": "what differs between two runs, and whether it is more than seeds differ by",
    "watch": "follow runs that go on elsewhere",
    "certs": "certificates and keys for other machines",
    "register": "make nodes known to a SuperLink",
    "node": "start a client on its own machine",
}

WRONG_COMMAND = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what `arguments`, by default those of the process, ask for; return the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if name == "--version":
        sys.stdout.write(f"fl_backdoor {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"fl_backdoor: {printable(_unknown(name))}\n")
        return WRONG_COMMAND
    command: Callable[[Sequence[str]], int] = import_module(f"fl_backdoor.cli.{name}").main
    return command(rest)


def program() -> NoReturn:
    """Be the process ``fl-backdoor``, and find a user's own modules where ``python -m`` finds them."""
    if not sys.flags.safe_path:
        # Python looks beside a script, where nobody's modules are, in place of the working directory.
        with suppress(FileNotFoundError):  # the folder has been removed
            sys.path[0] = str(Path.cwd())
    as_process(main)


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "fl-backdoor: backdoor attacks on federated learning, and defences against them\n\n"
        f"usage: fl-backdoor COMMAND …\n\n{commands}\n\n"
        "fl-backdoor COMMAND --help says more; fl-backdoor --version says which this is.\n"
    )


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    # Settings without a command are those of a run.
    near = ["run"] if "=" in name else get_close_matches(name, COMMANDS, n=1)
    meant = "".join(f"; did you mean {command}?" for command in near)
    return str(ConfigError("command", name, f"must be one of {', '.join(COMMANDS)}{meant}"))
