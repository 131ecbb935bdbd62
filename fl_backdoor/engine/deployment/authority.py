"""The folder of an authority: what proves to the nodes who the server is, and to the server who they are.

============================  =====  ================================================================
file                          mode   where it goes
============================  =====  ================================================================
``ca.key``                    0600   nowhere: whoever has it can pretend to be the server
``ca.crt``                    0644   everywhere
``server.crt``                0644   the SuperLink
``server.key``                0600   the SuperLink
``superexec.secret``          0600   the SuperLink and whoever starts experiments
``node-0``, ``node-1``, …     0600   each to its own node
``node-0.pub``, …             0644   whoever registers nodes
============================  =====  ================================================================
"""

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.core.files import one_line_errors, replace, settle
from fl_backdoor.engine.deployment import certificates, key_files
from fl_backdoor.engine.deployment.hosts import alternative_names
from fl_backdoor.engine.deployment.key_files import PUBLIC, SECRET

AUTHORITY_KEY, AUTHORITY = "ca.key", "ca.crt"
SERVER_KEY, SERVER = "server.key", "server.crt"
SUPEREXEC_SECRET = "superexec.secret"

MAX_NODES = 1000


def create(folder: Path, hosts: Sequence[str], num_nodes: int, days: int) -> None:
    """Make a new authority in `folder`: all of its files, or none if anything fails.

    Parameters
    ----------
    folder
        Must not exist yet, or be empty, in a folder that does. Its mode becomes 0700.
    hosts
        Names and addresses by which nodes reach the server; loopback is always added.
    num_nodes
        How many nodes get a key, 1 to 1000; they are counted from 0.
    days
        How long the server's certificate is valid, 1 to 3650. The authority itself ends after 3650 days.

    Raises
    ------
    FlBackdoorError
        If a value is not allowed, if there are files in the folder, or if it cannot be written.
    """
    _check_nodes(num_nodes)
    names = alternative_names(hosts)
    with _all_or_nothing(folder) as draft:
        _write_certificates(draft, names, days)
        key_files.write_new(draft / SUPEREXEC_SECRET, secrets.token_hex(32).encode(), SECRET)
        for node in range(num_nodes):
            _write_node(draft, node)


def add_nodes(folder: Path, num_nodes: int) -> list[int]:
    """Make keys for `num_nodes` more nodes (1 to 1000) and return their numbers.

    Raises
    ------
    FlBackdoorError
        If the number is not allowed, or the folder holds no authority or cannot be written.
    """
    _check_nodes(num_nodes)
    server_certificate(folder)
    first = max(nodes(folder), default=-1) + 1
    added = list(range(first, first + num_nodes))
    for node in added:
        _write_node(folder, node)
    settle(folder)
    return added


def renew(folder: Path, days: int, hosts: Sequence[str] = ()) -> None:
    """Give the server a new certificate for its old key; what nodes have stays valid.

    Parameters
    ----------
    folder
        An authority's, with ``ca.key``.
    days
        How long the new certificate is valid, 1 to 3650, and not beyond the authority's own end.
    hosts
        New names and addresses of the server; without any it keeps those it has.

    Raises
    ------
    FlBackdoorError
        If a value is not allowed, or the folder holds no authority or cannot be written.
    """
    old = server_certificate(folder)
    certificate = certificates.server_certificate(
        key_files.read_key(folder / SERVER_KEY).public_key(),
        names=alternative_names(hosts) if hosts else certificates.names(old),
        authority=key_files.read_certificate(folder / AUTHORITY),
        authority_key=key_files.read_key(folder / AUTHORITY_KEY),
        now=datetime.now(UTC),
        days=days,
    )
    replace(folder / SERVER, key_files.certificate_bytes(certificate))
    settle(folder)


def nodes(folder: Path) -> list[int]:
    """Return the numbers of the nodes that have a key in `folder`, ascending."""
    found = (re.fullmatch(r"node-(\d+)(\.pub)?", path.name) for path in folder.iterdir())
    return sorted({int(name[1]) for name in found if name})


def secret_files(folder: Path) -> list[Path]:
    """Return the files of `folder` that nobody but their owner is to read."""
    keys = [f"node-{node}" for node in nodes(folder)]
    return [folder / name for name in (AUTHORITY_KEY, SERVER_KEY, SUPEREXEC_SECRET, *keys)]


def server_certificate(folder: Path) -> x509.Certificate:
    """Return the server's certificate of the authority in `folder`, or raise `FlBackdoorError`."""
    if not (folder / AUTHORITY).exists():
        raise FlBackdoorError(f"{folder} holds no authority; --host NAME --nodes N --out {folder} makes one")
    return key_files.read_certificate(folder / SERVER)


def _check_nodes(num_nodes: int) -> None:
    if not 1 <= num_nodes <= MAX_NODES:
        raise ConfigError("nodes", num_nodes, f"a whole number from 1 to {MAX_NODES}")


def _write_certificates(folder: Path, names: Sequence[x509.GeneralName], days: int) -> None:
    now = datetime.now(UTC)
    authority_key, server_key = certificates.new_key(), certificates.new_key()
    authority = certificates.authority_certificate(authority_key, now)
    server = certificates.server_certificate(
        server_key.public_key(),
        names=names,
        authority=authority,
        authority_key=authority_key,
        now=now,
        days=days,
    )
    for name, key in ((AUTHORITY_KEY, authority_key), (SERVER_KEY, server_key)):
        key_files.write_new(folder / name, key_files.key_bytes(key), SECRET)
    for name, certificate in ((AUTHORITY, authority), (SERVER, server)):
        key_files.write_new(folder / name, key_files.certificate_bytes(certificate), PUBLIC)


def _write_node(folder: Path, node: int) -> None:
    key = certificates.new_key()
    name = f"node-{node}"
    # The private key comes last: a number that has one is complete.
    key_files.write_new(folder / f"{name}.pub", key_files.node_public_bytes(key, name), PUBLIC)
    key_files.write_new(folder / name, key_files.node_key_bytes(key), SECRET)


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[Path]:
    """Hand over a folder of mode 0700 that becomes `folder` at the end, and vanishes if anything fails."""
    with one_line_errors(folder):
        _check_vacant(folder)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield draft
            settle(draft)
            draft.rename(folder)
            settle(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _check_vacant(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FlBackdoorError(
            f"{folder} is not empty and stays as it is: --add-nodes N or --renew goes on with an authority, "
            "--out FOLDER makes one elsewhere"
        )
