"""Start a client on its machine: ``fl-backdoor node --superlink HOST:8000 --partition 3 …``."""

import argparse
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from fl_backdoor.core.errors import FlBackdoorError

if TYPE_CHECKING:
    from fl_backdoor.federation.hosting import Hosting

WRONG_SETTING, INTERRUPTED = 2, 130
SILENT = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
"""Nothing is reported to anybody unless the user sets these otherwise."""


def main(arguments: Sequence[str]) -> int:
    """Join a SuperLink and train until somebody stops the process; return the exit status."""
    asked = _parser().parse_args(arguments)
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    console = Console(highlight=False, soft_wrap=True)
    try:
        return _serve(asked, console)
    except FlBackdoorError as error:
        console.print(Text(f"fl_backdoor: {error}", style="bold red"))
        return WRONG_SETTING


def _serve(asked: argparse.Namespace, console: Console) -> int:
    from fl_backdoor.engine.deployment.address import WITHOUT_TLS, superlink_address
    from fl_backdoor.engine.deployment.key_files import exposed, read_node_key
    from fl_backdoor.federation.hosting import hosting

    superlink = superlink_address(asked.superlink, asked.root_certificates, asked.insecure)
    key = None if asked.key is None else read_node_key(Path(asked.key).expanduser())
    if superlink.is_insecure and key is not None:
        raise FlBackdoorError(f"--key {asked.key}: a SuperLink without TLS takes no keys")
    here = hosting(_node_config(asked))
    assert here is not None
    if here.data is not None and not Path(here.data).is_dir():
        raise FlBackdoorError(f"--data {here.data}: no such folder")

    def tell(line: str) -> None:
        console.print(Text(f"{time.strftime('%H:%M:%S')} {line}"))

    if asked.insecure == "anywhere":
        tell(f"NOTICE: {WITHOUT_TLS}")
    for warning in exposed(asked.key):
        tell(warning)
    tell(_described(here))
    from fl_backdoor.engine.deployment.node import NodeProcess
    from fl_backdoor.federation.client_app import app

    logging.getLogger("flwr").setLevel(logging.ERROR)
    process = NodeProcess(superlink, key, here, app, tell)
    _stop_on_signals(process.stop)
    process.serve()
    tell("left")
    return 0


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """Have Ctrl-C or SIGTERM end the process after the message that it is at, a second one at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop()
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda *_: os._exit(INTERRUPTED))

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, on_signal)


def _node_config(asked: argparse.Namespace) -> dict[str, str | bool | int]:
    data = asked.own_data or asked.data
    chosen: dict[str, str | bool | int | None] = {
        "partition": asked.partition,
        "malicious": asked.malicious,
        "data": None if data is None else str(Path(data).expanduser()),
        "own-data": asked.own_data is not None,
        "device": asked.device,
        "threads": asked.threads,
    }
    return {key: value for key, value in chosen.items() if value is not None}


def _described(here: "Hosting") -> str:
    """Return who this node is, which nobody else is told."""
    import torch

    clients = ", ".join(map(str, here.client_ids))
    role = "malicious" if here.is_malicious else "benign"
    data = f"data in {here.data}" if here.data else "data where they are found"
    gpus = [torch.cuda.get_device_name(gpu) for gpu in range(torch.cuda.device_count())]
    device = here.device or "device as the run says"
    return f"client {clients} · {role} · {data} · {device} · GPUs: {', '.join(gpus) or 'none'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fl-backdoor node",
        description="Join a SuperLink and train one client, or several, whenever a run asks for them.",
    )
    add = parser.add_argument
    add("--superlink", required=True, metavar="HOST:PORT", help="where the SuperLink is")
    add("--root-certificates", metavar="FILE", help="who vouches for it (ca.crt); default: the system's")
    add("--key", metavar="FILE", help="this node's private key, registered at the SuperLink")
    add("--partition", required=True, metavar="ID", help="client id from 0, or several: 3,4")
    add(
        "--malicious",
        action="store_true",
        help="attack, as the run's attack settings describe; only this node knows",
    )
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", metavar="DIR", help="the common data set, of which this client has a slice")
    data.add_argument("--own-data", metavar="DIR", help="this client's own: all training samples in it")
    add("--device", choices=("auto", "cpu", "cuda"), help="default: as the run says")
    add("--threads", type=int, metavar="N", help="PyTorch's threads; default: as the run says")
    add(
        "--insecure",
        choices=("loopback", "anywhere"),
        default="no",
        help="do without TLS: on this machine, or anywhere you trust the network",
    )
    return parser
