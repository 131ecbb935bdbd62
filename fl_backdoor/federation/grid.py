"""Flower's Grid with three things that a long run needs: an end on request, short polls, and a clock."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from fl_backdoor.core.errors import Stopped
from fl_backdoor.core.progress import OnStep, tell_nobody
from fl_backdoor.runs.environment import usable_cores

if TYPE_CHECKING:
    from fl_backdoor.federation.invitation import Invitation


class StoppableGrid(Grid):
    """Another grid, whose waits end as soon as somebody asks for it.

    Set `on_step` to be told how many nodes have answered, and `on_failure` to look, and raise, before anybody
    hears of a node that failed.

    Parameters
    ----------
    grid
        The grid that an engine provides.
    stop
        Set to end the wait for replies; `Stopped` is raised then.
    poll_seconds
        Pause between two looks for replies.
    """

    def __init__(self, grid: Grid, stop: threading.Event, poll_seconds: float) -> None:
        self._grid = grid
        self._stop = stop
        self._poll_seconds = poll_seconds
        self.on_step: OnStep = tell_nobody
        self.on_failure: Callable[[], None] = lambda: None
        self.answered_at = time.perf_counter()
        self.waited_seconds = 0.0

    def invite(self, invitation: "Callable[[], Invitation]", num_clients: int) -> None:
        """Do nothing: what runs here was started for this run."""

    def homes(self) -> Mapping[int, int] | None:
        """Return the node of each client, by client id; None: any node can host any client."""
        return None

    def own_samples(self) -> Mapping[int, int]:
        """Return how many samples clients have that have data of their own, by client id, as they claim."""
        return {}

    def idle_cores(self) -> int:
        """Return how many cores of this machine have nothing to do while no client trains."""
        return min(len(list(self.get_node_ids())), usable_cores())

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and return the replies that came within `timeout` seconds.

        Raises
        ------
        Stopped
            If the run was asked to end meanwhile.
        """
        started = time.perf_counter()
        waiting = set(self.push_messages(messages))
        if not waiting:
            return []
        replies: list[Message] = []
        while waiting and (timeout is None or time.perf_counter() - started < timeout):
            arrived = list(self.pull_messages(waiting))
            if any(reply.has_error() for reply in arrived):
                self.on_failure()
            replies += arrived
            waiting -= {reply.metadata.reply_to_message_id for reply in arrived}
            self.on_step("nodes answered", len(replies), len(replies) + len(waiting))
            if waiting:
                self.wait(self._poll_seconds)
        self.answered_at = time.perf_counter()
        self.waited_seconds = self.answered_at - started
        return replies

    def wait_for_nodes(self, num_nodes: int) -> None:
        """Wait until `num_nodes` nodes are there; raises `Stopped` like `send_and_receive`."""
        while len(list(self.get_node_ids())) < num_nodes:
            self.wait(self._poll_seconds)

    def wait(self, seconds: float = 0) -> None:
        """Wait a while; without one, look whether the run goes on.

        Raises
        ------
        Stopped
            As soon as the run is asked to end.
        """
        if self._stop.wait(seconds):
            raise Stopped("the run was asked to stop")

    def set_run(self, run: Run) -> None:
        """Pass on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """Pass on."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Pass on."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Pass on."""
        return self._grid.get_node_ids()

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Pass on."""
        return self._grid.get_nodes()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on."""
        return self._grid.pull_messages(message_ids)
