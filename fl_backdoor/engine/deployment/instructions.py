"""What to copy to which machine and what to start there, ready to paste."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_backdoor.engine.deployment import authority, certificates
from fl_backdoor.engine.deployment.hosts import with_port, written

PORT = 8000


@dataclass(frozen=True)
class Step:
    """One machine's part: what is to be done, and the commands."""

    title: str
    commands: Sequence[str]


def summary(folder: Path) -> str:
    """Return who the server in `folder` is and until when, how many nodes there are, and what stays here."""
    end = authority.server_certificate(folder).not_valid_after_utc
    names = ", ".join(server_names(folder))
    known = len(authority.nodes(folder))
    secret = folder / authority.AUTHORITY_KEY
    return (
        f"{folder}: a server called {names} until {end:%F}, keys of {known} nodes.\n"
        f"{secret} goes to no other machine: whoever has it can pretend to be the server."
    )


def everything(folder: Path) -> Iterator[Step]:
    """Yield all steps from new certificates to an experiment."""
    superlink = _superlink(folder)
    server_files = (authority.AUTHORITY, authority.SERVER, authority.SERVER_KEY, authority.SUPEREXEC_SECRET)
    yield Step(
        f"The server needs {_listed(folder, server_files)} and starts the SuperLink:",
        [
            "export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1",
            shlex.join(["flower-superlink", *superlink_flags(folder), "--host", _everywhere(superlink)]),
        ],
    )
    yield from for_nodes(folder, authority.nodes(folder))
    experiment = (authority.AUTHORITY, authority.SUPEREXEC_SECRET)
    yield Step(
        f"Whoever starts experiments needs {_listed(folder, experiment)}:",
        [
            shlex.join(
                [
                    *("python", "-m", "fl_backdoor.main", "engine=deployment", f"engine.address={superlink}"),
                    f"engine.root_certificates={folder / authority.AUTHORITY}",
                    f"engine.secret={folder / authority.SUPEREXEC_SECRET}",
                    f"partition.num_clients={len(authority.nodes(folder))}",
                ]
            )
        ],
    )


def for_nodes(folder: Path, nodes: Sequence[int]) -> Iterator[Step]:
    """Yield the steps that bring `nodes` in: their registration, and one step a machine."""
    superlink = _superlink(folder)
    root = str(folder / authority.AUTHORITY)
    keys = [str(folder / f"node-{node}.pub") for node in nodes]
    clients = [part for node in nodes for part in ("--partition", str(node))]
    register = ["fl-backdoor", "register", "--superlink", superlink, "--root-certificates", root]
    yield Step(
        "The nodes are made known to the running SuperLink, once, each for its client:",
        [shlex.join([*register, *keys, *clients])],
    )
    for node in nodes:
        key = f"node-{node}"
        start = ["fl-backdoor", "node", "--superlink", superlink, "--root-certificates", root]
        own = ["--key", str(folder / key), "--partition", str(node), "--data", "DIR"]
        files = _listed(folder, (authority.AUTHORITY, key))
        yield Step(f"The machine of node {node} needs {files}:", [shlex.join([*start, *own])])


def for_renewal(folder: Path) -> Iterator[Step]:
    """Yield what follows a new certificate."""
    yield Step(f"Copy {folder / authority.SERVER} to the server and start the SuperLink again.", [])


def superlink_flags(folder: Path) -> list[str]:
    """Return the options of a SuperLink with TLS and known nodes that executes nothing; no host, no port."""
    return [
        *("--ssl-ca-certfile", str(folder / authority.AUTHORITY)),
        *("--ssl-certfile", str(folder / authority.SERVER)),
        *("--ssl-keyfile", str(folder / authority.SERVER_KEY)),
        "--enable-supernode-auth",
        *("--isolation", "process"),
        *("--superexec-auth-secret-file", str(folder / authority.SUPEREXEC_SECRET)),
        *("--database", "state.db"),
        "--disable-runtime-dependency-installation",
    ]


def server_names(folder: Path) -> list[str]:
    """Return what the server is called according to its certificate, in the order in which it was said."""
    return [written(name) for name in certificates.names(authority.server_certificate(folder))]


def _superlink(folder: Path) -> str:
    """Return where nodes reach the SuperLink: by the first name that was given for it."""
    return with_port(server_names(folder)[0], PORT)


def _everywhere(superlink: str) -> str:
    return "::" if superlink.startswith("[") else "0.0.0.0"


def _listed(folder: Path, files: Sequence[str]) -> str:
    return ", ".join(str(folder / file) for file in files)
