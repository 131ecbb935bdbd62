"""Hosts of their own on one machine: network namespaces on a bridge, with no route to anywhere else."""

import os
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    Parameters
    ----------
    name
        In words.
    address
        What others reach it by.
    prefix
        What stands before a command that is to run there.
    """

    name: str
    address: str
    prefix: tuple[str, ...] = ()


HERE = Host("this machine", "127.0.0.1")


class Hosts:
    """Namespaces that reach each other by a bridge and nothing else; a context manager.

    Parameters
    ----------
    names
        One each.
    """

    def __init__(self, *names: str) -> None:
        self._mark = f"fb{os.getpid() % 10000}"
        self._net = f"10.{77 + os.getpid() % 100}.0"
        self._names = names

    def __enter__(self) -> Self:
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"{self._net}.254/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for number in range(len(self._names)):
                self._add(number)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def __getitem__(self, name: str) -> Host:
        """Return a host by its name."""
        number = self._names.index(name)
        return Host(name, self._address(number), ("ip", "netns", "exec", self._namespace(number)))

    def cut(self, name: str) -> None:
        """Take a host's link away."""
        _ip("link", "set", self._port(self._names.index(name)), "down")

    def restore(self, name: str) -> None:
        """Give it back."""
        _ip("link", "set", self._port(self._names.index(name)), "up")

    def _add(self, number: int) -> None:
        namespace, inside = self._namespace(number), f"{self._mark}i{number}"
        _ip("netns", "add", namespace)
        _ip("link", "add", self._port(number), "type", "veth", "peer", "name", inside)
        _ip("link", "set", self._port(number), "master", self._bridge, "up")
        _ip("link", "set", inside, "netns", namespace)
        for command in (
            ("addr", "add", f"{self._address(number)}/24", "dev", inside),
            ("link", "set", inside, "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", namespace, *command)

    def _remove(self) -> None:
        for number in range(len(self._names)):
            _ip("netns", "del", self._namespace(number), check=False)
            _ip("link", "del", self._port(number), check=False)
        _ip("link", "del", self._bridge, check=False)

    @property
    def _bridge(self) -> str:
        return f"{self._mark}br"

    def _namespace(self, number: int) -> str:
        return f"{self._mark}-{number}"

    def _port(self, number: int) -> str:
        return f"{self._mark}p{number}"

    def _address(self, number: int) -> str:
        return f"{self._net}.{number + 1}"


def why_not() -> str | None:
    """Return why no namespaces can be made here; None: they can."""
    try:
        with Hosts("trial"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return f"network namespaces need iproute2 and CAP_NET_ADMIN: {said.strip()}"


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
