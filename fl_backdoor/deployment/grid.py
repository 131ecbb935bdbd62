"""Flower's Grid on real machines: it knows which clients live on which node, and sends them nothing stale."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError

from fl_backdoor.deployment.invitation import Answer, Invitation, pack_invitation, unpack_answer
from fl_backdoor.deployment.patience import Tell
from fl_backdoor.engine.grid import StoppableGrid
from fl_backdoor.results.environment import usable_cores

POLL_SECONDS = 0.2
"""Pause between two looks for replies. A look costs the SuperLink about 5 ms."""

WAIT_SECONDS = 0.5
"""Pause between two looks for nodes."""

ANSWER_SECONDS = 60.0
"""A node decodes its data before it answers for the first time."""

AGAIN_SECONDS = 10.0
"""Pause before a node that could not answer is asked again."""


@dataclass(frozen=True)
class Stay:
    """A node from the time that it joined until it leaves; node ids are those of keys and come back."""

    node_id: int
    since: str


class DeployedGrid(StoppableGrid):
    """A grid whose nodes each host certain clients.

    Parameters
    ----------
    grid
        Flower's.
    stop
        Set to end any wait; `Stopped` is raised then.
    min_clients
        Clients that must be there before a round begins; None: all before the first one, one before others.
    tell
        Told who joins, who stays away and why, and who is waited for.
    """

    def __init__(self, grid: Grid, stop: threading.Event, min_clients: int | None, tell: Tell) -> None:
        super().__init__(grid, stop, POLL_SECONDS)
        self._min_clients = min_clients
        self._tell = tell
        self._invitation: Invitation | None = None
        self._num_clients = 0
        self._has_begun = False
        self._answers: dict[Stay, Answer] = {}
        self._not_before: dict[Stay, float] = {}

    def invite(self, invitation: Callable[[], Invitation], num_clients: int) -> None:
        """Take down what nodes are to be asked when they are there."""
        self._invitation, self._num_clients = invitation(), num_clients

    def homes(self) -> Mapping[int, int]:
        """Wait until enough clients are connected, and return the node of each, by client id."""
        needed = self._min_clients or (1 if self._has_begun else self._num_clients)
        homes = self._connected()
        if len(homes) < needed:
            self._tell(f"waiting for nodes: {len(homes)} of {needed} clients are connected")
        while len(homes) < needed:
            self.wait(WAIT_SECONDS)
            homes = self._connected()
        self._has_begun = True
        return homes

    def own_samples(self) -> Mapping[int, int]:
        """Return how many samples clients have that have data of their own, by client id, as they claim."""
        answers = [answer for answer in self._answers.values() if answer.num_own_samples]
        return {client_id: answer.num_own_samples for answer in answers for client_id in answer.client_ids}

    def idle_cores(self) -> int:
        """Return how many cores the server has: clients train on other machines."""
        return usable_cores()

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Do so, with messages that are void once nobody waits for the answer.

        A slow node would otherwise work off the rounds of the past, and never catch up.
        """
        messages = list(messages)
        if timeout is not None:
            for message in messages:
                message.metadata.ttl = timeout
        return super().send_and_receive(messages, timeout=timeout)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages, once more if the SuperLink was restarted while they were on their way."""
        messages = list(messages)
        try:
            return super().push_messages(messages)
        except ObjectPushError:
            for message in messages:
                # Of another age it is another message: the SuperLink takes no second half of the first.
                message.metadata.ttl += 1.0
            return super().push_messages(messages)

    def _connected(self) -> dict[int, int]:
        """Return the node of each client that is there; of two that claim one the last to join counts.

        The other is most likely the same node before it was started again: it is missed after a minute.
        """
        joined = (Stay(node.node_id, node.last_activated_at) for node in self.get_nodes())
        stays = sorted(joined, key=lambda stay: stay.since, reverse=True)
        self._ask([stay for stay in stays if self._is_to_be_asked(stay)])
        homes: dict[int, int] = {}
        for stay in stays:
            for client_id in self._answers.get(stay, Answer(())).client_ids:
                homes.setdefault(client_id, stay.node_id)
        return {client_id: node for client_id, node in homes.items() if client_id < self._num_clients}

    def _is_to_be_asked(self, stay: Stay) -> bool:
        return stay not in self._answers and time.monotonic() >= self._not_before.get(stay, 0.0)

    def _ask(self, stays: list[Stay]) -> None:
        if not stays or self._invitation is None:
            return
        content = pack_invitation(self._invitation)
        asked = {stay: Message(content, stay.node_id, MessageType.QUERY) for stay in stays}
        waited, answered = self.waited_seconds, self.answered_at
        replies = self.send_and_receive(asked.values(), timeout=ANSWER_SECONDS)
        # The clock is for rounds.
        self.waited_seconds, self.answered_at = waited, answered
        heard = {reply.metadata.reply_to_message_id: reply for reply in replies}
        for stay, message in asked.items():
            self._take(stay, heard.get(message.metadata.message_id))

    def _take(self, stay: Stay, reply: Message | None) -> None:
        if reply is None or reply.has_error():
            reason = "no answer" if reply is None else reply.error.reason
            self._tell(f"node {stay.node_id} could not be asked: {reason}")
            self._not_before[stay] = time.monotonic() + AGAIN_SECONDS
            return
        answer = self._answers[stay] = unpack_answer(reply.content)
        if answer.refusal:
            self._tell(f"node {stay.node_id} takes no part: {answer.refusal}")
        else:
            self._tell(f"node {stay.node_id} hosts {_named(answer.client_ids)}")


def _named(client_ids: tuple[int, ...]) -> str:
    numbers = ", ".join(str(client_id) for client_id in client_ids)
    return f"client {numbers}" if len(client_ids) == 1 else f"clients {numbers}"
