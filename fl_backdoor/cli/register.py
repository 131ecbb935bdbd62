"""Nodes are made known to a SuperLink: ``fl-backdoor register --superlink … node-0.pub``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fl_backdoor.cli.output import answer


def main(arguments: Sequence[str]) -> int:
    """Register or remove the keys that the command line names; return 0, or 2 if that fails."""
    asked = _parser().parse_intermixed_args(arguments)
    return answer(lambda: _do(asked))


def _do(asked: argparse.Namespace) -> list[str]:
    from fl_backdoor.engine.deployment.registration import Registrar
    from fl_backdoor.federation.hosting import listed_clients

    registrar = Registrar(asked.superlink, asked.root_certificates)
    if asked.remove:
        lines = registrar.remove(asked.keys)
    else:
        lines = registrar.register(asked.keys, [listed_clients(text) for text in asked.partition])
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line))
    return []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor register",
        description="Make nodes known to a SuperLink by their public keys, or shut them out.",
    )
    parser.add_argument("keys", nargs="+", type=Path, metavar="KEY.pub", help="public keys of nodes")
    parser.add_argument("--superlink", required=True, metavar="HOST:PORT", help="where the SuperLink answers")
    parser.add_argument(
        "--root-certificates",
        required=True,
        type=Path,
        metavar="CA.crt",
        help="vouches for the SuperLink",
    )
    parser.add_argument(
        "--partition",
        action="append",
        default=[],
        metavar="ID",
        help="client id, or several (3,4), that only the node with this key may host; once for each key",
    )
    parser.add_argument("--remove", action="store_true", help="shut the nodes out, at once and for good")
    return parser
