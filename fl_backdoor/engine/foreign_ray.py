"""A Ray that others have started: whether the machines that a simulation needs are still there.

Ray itself takes a quarter of a minute to notice that a machine is gone. Meanwhile clients fail that it had
sent there, and after that it waits without end for room for the workers that were there.
"""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.client import ray as through_a_proxy

LOOK_SECONDS = 2.0
"""Between two looks while nothing has failed."""

SECONDS_TO_CONNECT = 5.0


@dataclass(frozen=True)
class Machine:
    """One of Ray's nodes.

    Parameters
    ----------
    host, port
        Where its raylet listens.
    is_ours
        Whether it is the one that this process is connected to.
    room
        How many workers it can host.
    """

    host: str
    port: int
    is_ours: bool
    room: int

    def answers(self) -> bool:
        """Return whether its raylet takes a connection."""
        try:
            socket.create_connection((self.host, self.port), SECONDS_TO_CONNECT).close()
        except OSError:
            return False
        return True


class ForeignRay:
    """A Ray that this process joins and does not end.

    Parameters
    ----------
    num_workers
        How many workers are wanted, a core each.
    gpus_per_worker
        Share of a GPU that each may use.
    """

    def __init__(self, num_workers: int, gpus_per_worker: float) -> None:
        self._num_workers = num_workers
        self._gpus_per_worker = gpus_per_worker
        self._machines: list[Machine] | None = None
        self._looked_at = 0.0
        self._has_died = False

    @property
    def has_died(self) -> bool:
        """Whether the machine that this process is connected to is gone, or room for its workers.

        It is looked at every `LOOK_SECONDS`.
        """
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self.look()
        return self._has_died

    def look(self) -> bool:
        """Return whether it has died, as far as can be seen now."""
        if self._machines is None and ray.is_initialized():
            self._machines = self._those_there()
            self._num_workers = min(self._num_workers, _room(self._machines))
        # Where even the own machine cannot be reached in this way, nobody can tell.
        if self._machines and not self._has_died:
            there = [machine for machine in self._machines if machine.answers()]
            self._has_died = not (self._suffice(there) or self._suffice(self._those_there()))
        self._looked_at = time.monotonic()
        return self._has_died

    def stop(self) -> None:
        """Leave it to those who have started it."""

    def _suffice(self, machines: list[Machine]) -> bool:
        return any(machine.is_ours for machine in machines) and _room(machines) >= self._num_workers

    def _those_there(self) -> list[Machine]:
        """Ask Ray for its machines, and each of those; none if that cannot tell anything."""
        if through_a_proxy.is_connected():  # type: ignore[no-untyped-call]
            return []
        own = ray.get_runtime_context().get_node_id()
        machines = [self._machine(node, own) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        there = [machine for machine in machines if machine.answers()]
        return there if any(machine.is_ours for machine in there) else []

    def _machine(self, node: dict[str, Any], own: str) -> Machine:
        resources = node["Resources"]
        room = int(resources.get("CPU", 0))
        if self._gpus_per_worker:
            room = min(room, int(resources.get("GPU", 0) / self._gpus_per_worker))
        return Machine(node["NodeManagerAddress"], node["NodeManagerPort"], node["NodeID"] == own, room)


def _room(machines: Iterable[Machine]) -> int:
    return sum(machine.room for machine in machines)
