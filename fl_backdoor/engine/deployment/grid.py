"""Flower's Grid on real machines: it knows which clients live on which node, and sends them nothing stale."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from flwr.app import Message, MessageType
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError

from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.engine.deployment.binding import described, named_clients, registered_clients
from fl_backdoor.engine.deployment.inflation import guard_replies
from fl_backdoor.engine.deployment.places import Claim, allowed, places
from fl_backdoor.engine.deployment.retry import Tell
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.invitation import Answer, Invitation, pack_invitation, unpack_answer
from fl_backdoor.runs.environment import usable_cores

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
        Told who hosts whom, who stays away or may not host a client and why, and who is waited for.
    """

    def __init__(self, grid: Grid, stop: threading.Event, min_clients: int | None, tell: Tell) -> None:
        guard_replies()
        super().__init__(grid, stop, POLL_SECONDS)
        self._min_clients = min_clients
        self._tell = tell
        self._invitation: Invitation | None = None
        self._num_clients = 0
        self._has_begun = False
        self._answers: dict[Stay, Answer] = {}
        self._not_before: dict[Stay, float] = {}
        self._owners: dict[int, str] = {}
        self._homes: dict[int, Stay] = {}
        self._own_samples: dict[int, int] = {}
        self._refused: list[str] = []

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
        return {client_id: number for client_id, number in self._own_samples.items() if number}

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
        """Return the node of each client that is there."""
        nodes = {Stay(node.node_id, node.last_activated_at): node for node in self.get_nodes()}
        self._ask({stay: node for stay, node in nodes.items() if self._is_to_be_asked(stay)})
        for node in nodes.values():
            # One that is away for a while keeps its clients: they are not for anybody who has a key.
            self._owners |= dict.fromkeys(registered_clients(node), described(node))
        claims = {
            stay: _claim(node, self._answers[stay].client_ids)
            for stay, node in nodes.items()
            if stay in self._answers
        }
        homes, refused = places(claims, self._owners)
        self._tell_changes(claims, homes, refused)
        for client_id, stay in homes.items():
            self._own_samples[client_id] = self._answers[stay].num_own_samples
        self._homes, self._refused = homes, refused
        return {client_id: stay.node_id for client_id, stay in homes.items()}

    def _tell_changes(
        self, claims: Mapping[Stay, Claim], homes: Mapping[int, Stay], refused: Iterable[str]
    ) -> None:
        gained: dict[Stay, list[int]] = {}
        for client_id, stay in sorted(homes.items()):
            if self._homes.get(client_id) != stay:
                gained.setdefault(stay, []).append(client_id)
        for stay, client_ids in gained.items():
            self._tell(f"{claims[stay].node} hosts {named_clients(client_ids)}")
        for line in refused:
            if line not in self._refused:
                self._tell(line)

    def _is_to_be_asked(self, stay: Stay) -> bool:
        return stay not in self._answers and time.monotonic() >= self._not_before.get(stay, 0.0)

    def _ask(self, nodes: Mapping[Stay, NodeInfo]) -> None:
        if not nodes or self._invitation is None:
            return
        content = pack_invitation(self._invitation)
        asked = {stay: Message(content, stay.node_id, MessageType.QUERY) for stay in nodes}
        waited, answered = self.waited_seconds, self.answered_at
        replies = self.send_and_receive(asked.values(), timeout=ANSWER_SECONDS)
        # The clock is for rounds.
        self.waited_seconds, self.answered_at = waited, answered
        heard = {reply.metadata.reply_to_message_id: reply for reply in replies}
        for stay, message in asked.items():
            self._take(stay, nodes[stay], heard.get(message.metadata.message_id))

    def _take(self, stay: Stay, node: NodeInfo, reply: Message | None) -> None:
        if reply is None or reply.has_error():
            reason = "no answer" if reply is None else cleaned(reply.error.reason or "")
            self._tell(f"{described(node)} could not be asked: {reason}")
            self._not_before[stay] = time.monotonic() + AGAIN_SECONDS
            return
        answer = unpack_answer(reply.content)
        client_ids, refused = allowed(_claim(node, answer.client_ids), self._num_clients)
        self._answers[stay] = replace(answer, client_ids=client_ids)
        if answer.refusal:
            refused = [f"{described(node)} takes no part: {answer.refusal}"]
        for line in refused:
            self._tell(line)


def _claim(node: NodeInfo, client_ids: tuple[int, ...]) -> Claim:
    registered = registered_clients(node)
    since = node.registered_at if registered else node.last_activated_at
    return Claim(described(node), client_ids, registered, since)
