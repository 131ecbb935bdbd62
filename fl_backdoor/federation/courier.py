"""The courier of the bench: a node hosts clients, and their updates may lie in shared memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from flwr.app import Message, MessageType

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.core.errors import NobodyAnswers
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.federation.messages import TrainTask
from fl_backdoor.federation.participants import assign, sizes
from fl_backdoor.federation.replies import Expected, RoundReplies, collect
from fl_backdoor.federation.transport.choice import Transport, open_exchange
from fl_backdoor.federation.transport.server import Exchange
from strategies.base import ServerContext
from strategies.courier import Courier, Received, TrainRequest

LONGEST_REASON = 160
"""Characters of a reason in the one line that a run stops with."""


class HostedClients(Courier):
    """Asks the nodes that host a round's clients, and checks what they answer for each of them.

    Parameters
    ----------
    experiment
        The whole configuration as JSON, as it travels in every train message.
    client
        Settings of local training.
    participants
        From a round, counted from 1, to the client ids that are asked in it, sorted.
    transport
        How models and updates travel.
    max_lost_rounds
        After so many rounds on end in which no node has said anything the run stops.
    learning_rate
        From a round, counted from 1, to benign clients' learning rate in it; NaN: updates show no gradients.

    Attributes
    ----------
    shared_state
        What malicious clients have told each other, carried along unread.
    replies
        Those of the last round.
    """

    federated_evaluation = False
    """The full test set is evaluated on the server."""

    def __init__(
        self,
        experiment: str,
        client: ClientConfig,
        participants: Callable[[int], list[int]],
        transport: Transport,
        max_lost_rounds: int = 1,
        *,
        learning_rate: Callable[[int], float],
    ) -> None:
        self.experiment = experiment
        self.client = client
        self.learning_rate = learning_rate
        self.participants = participants
        self.transport = transport
        self.max_lost_rounds = max_lost_rounds
        self.shared_state = b""
        self.replies: RoundReplies | None = None
        self._asked: _Asked | None = None
        self._lost_rounds = 0

    def prepare(self, server: ServerContext) -> None:
        """Hear what replies are checked against, and for how many of them to make room."""
        self.expected = Expected(server.layout, server.partition_sizes, self.client)
        self._num_rows = server.participants_per_round or len(server.partition_sizes)

    def ask(self, request: TrainRequest) -> list[Message]:
        """Tell each node whom of its clients to train; the request's configuration is not used."""
        client_ids = self.participants(request.server_round)
        rows = {client_id: row for row, client_id in enumerate(client_ids)}
        hosted = assign(client_ids, request.grid)
        tasks = {
            node_id: TrainTask(
                self.experiment,
                request.server_round,
                asked,
                tuple(rows[client_id] for client_id in asked),
                shared_state=self.shared_state,
            )
            for node_id, asked in hosted.items()
        }
        contents = self._exchange.contents(request.model, request.arrays, tasks)
        sent = {
            node_id: Message(content=content, message_type=MessageType.TRAIN, dst_node_id=node_id)
            for node_id, content in contents.items()
        }
        known = replace(self.expected, partition_sizes=sizes(self.expected.partition_sizes, request.grid))
        self._asked = _Asked(tuple(client_ids), known, hosted, sent)
        return list(sent.values())

    def collect(self, server_round: int, replies: Iterable[Message]) -> Received:
        """Check what nodes answer.

        Raises
        ------
        NobodyAnswers
            If no node has said anything for too many rounds on end. That its clients failed, or that what
            they sent cannot be used, is an answer.
        """
        asked = self._asked
        assert asked is not None
        collected = collect(replies, asked.client_ids, asked.by_message, asked.expected, self._exchange)
        self._stop_if_nobody_answers(server_round, collected)
        self.replies = collected
        usable = collected.usable
        return Received(
            client_ids=np.array([reply.client_id for reply in usable], dtype=np.int64),
            updates=self._exchange.gather(collected.rows, somebody_is_late=collected.somebody_is_late),
            buffers=[reply.buffers for reply in usable],
            num_steps=np.array([reply.num_steps for reply in usable], dtype=np.float64),
            num_examples=np.array([reply.num_examples for reply in usable], dtype=np.float64),
            learning_rate=self.learning_rate(server_round),
            rejected=collected.rejected,
        )

    def close(self) -> None:
        """Free the memory of the updates."""
        if "_exchange" in vars(self):
            self._exchange.close()
            del self._exchange

    @cached_property
    def _exchange(self) -> Exchange:
        return open_exchange(self.transport, self.expected.layout, self._num_rows)

    def _stop_if_nobody_answers(self, server_round: int, collected: RoundReplies) -> None:
        self._lost_rounds = self._lost_rounds + 1 if collected.nobody_answered else 0
        if self._lost_rounds >= self.max_lost_rounds:
            reason = cleaned(next(iter(collected.rejected.values())), LONGEST_REASON)
            raise NobodyAnswers(f"nobody has answered in round {server_round}: {reason}")


@dataclass(frozen=True)
class _Asked:
    """Whom the server has asked in a round."""

    client_ids: tuple[int, ...]
    expected: Expected
    hosted: Mapping[int, tuple[int, ...]]
    sent: Mapping[int, Message]

    @property
    def by_message(self) -> dict[str, tuple[int, ...]]:
        """Clients asked for, by the id of the message that asked; the grid gives it when it sends."""
        return {self.sent[node].metadata.message_id: asked for node, asked in self.hosted.items()}
