"""Replies are claims: what cannot be true costs a client its place in the round, and never ends the run."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

from flwr.app import Message

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.messages import Claims, ClientFailure, ClientReply, NodeReply
from fl_backdoor.federation.transport.server import Exchange

log = logging.getLogger("fl_backdoor")


@dataclass(frozen=True)
class Expected:
    """What replies are checked against.

    Parameters
    ----------
    layout
        The model's tensors.
    partition_sizes
        Number of samples of each client, by client id.
    client
        Settings of local training.
    """

    layout: Layout
    partition_sizes: tuple[int, ...]
    client: ClientConfig


@dataclass(frozen=True)
class UsableReply(Claims):
    """What the server goes on with of a reply that can be true; its update is a row of the matrix.

    Parameters
    ----------
    buffers
        The buffers of its local model, in order.
    """

    buffers: ModelArrays = field(default_factory=list)


@dataclass(frozen=True)
class RoundReplies:
    """The replies of a round.

    Parameters
    ----------
    asked
        Client ids; the position of each is its row in the exchange's matrix.
    usable
        Replies that can be used, by client id.
    rejected
        Why the others cannot, by client id.
    somebody_is_late
        Whether a node has not answered, so that its clients may still be at work.
    nobody_answered
        Whether no node has said anything at all, be it that its clients failed.
    """

    asked: tuple[int, ...]
    usable: tuple[UsableReply, ...]
    rejected: Mapping[int, str]
    somebody_is_late: bool
    nobody_answered: bool

    @property
    def rows(self) -> list[int]:
        """Rows of the usable replies, ascending."""
        used = {reply.client_id for reply in self.usable}
        return [row for row, client_id in enumerate(self.asked) if client_id in used]


def collect(
    messages: Iterable[Message],
    drawn: Sequence[int],
    asked: Mapping[str, tuple[int, ...]],
    expected: Expected,
    exchange: Exchange,
) -> RoundReplies:
    """Sort the replies of a round, and see that each usable update is in its row.

    Parameters
    ----------
    messages
        The nodes' replies, in any order.
    drawn
        The round's clients, ascending.
    asked
        Clients asked for, by the id of the message that asked. Replies are matched by it, because Flower
        answers in the place of a node that died.
    expected
        What replies are checked against.
    exchange
        Has sent the model, and takes the updates.
    """
    answers: dict[int, _Answer] = {}
    answered = set()
    for message in messages:
        asked_by = message.metadata.reply_to_message_id
        if not message.has_error():
            answered.add(asked_by)
        answers |= dict.fromkeys(asked.get(asked_by, ()), _Answer(message))
    reached = {client_id for ids in asked.values() for client_id in ids}
    usable, rejected = [], {}
    for row, client_id in enumerate(drawn):
        why = "no reply in time" if client_id in reached else "its node is not connected"
        answer = answers.get(client_id)
        found = (
            _judged(answer, client_id, row, expected, exchange) if answer else ClientFailure(client_id, why)
        )
        if isinstance(found, UsableReply):
            usable.append(found)
            continue
        rejected[client_id] = found.reason
        log.warning("client %d loses its place in the round: %s", client_id, found.reason)
    return RoundReplies(
        asked=tuple(drawn),
        usable=tuple(usable),
        rejected=rejected,
        somebody_is_late=not answered.issuperset(asked),
        nobody_answered=not answered.intersection(asked),
    )


class _Answer:
    """A node's message, unpacked when the first of its clients is looked at."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def of(self, client_id: int, exchange: Exchange) -> ClientReply | ClientFailure:
        """Return what is said of a client; raises like `NodeReply.of`."""
        if self._message.has_error():
            return ClientFailure(client_id, f"its node failed: {self._message.error.reason}")
        return self._content.of(client_id, exchange.carried)

    @cached_property
    def _content(self) -> NodeReply:
        return NodeReply(self._message.content)


def _judged(
    answer: _Answer, client_id: int, row: int, expected: Expected, exchange: Exchange
) -> UsableReply | ClientFailure:
    """Unpack and check what came of one client.

    Nothing that goes wrong with it passes here: whatever Flower's decoder, NumPy's or a check raises costs
    that client its place, and nobody else anything.
    """
    try:
        part = answer.of(client_id, exchange)
        if isinstance(part, ClientFailure):
            return part
        return _usable(part, row, expected, exchange)
    except ReplyError as error:
        return ClientFailure(client_id, str(error))
    except Exception as error:  # a hostile reply can make anything of a decoder
        return ClientFailure(client_id, f"unreadable reply: {type(error).__name__}: {error}")


def _usable(part: ClientReply, row: int, expected: Expected, exchange: Exchange) -> UsableReply:
    buffers = exchange.receive(part.arrays, row)
    expected.layout.check_statistics(buffers, exchange.model)
    size = expected.partition_sizes[part.client_id]
    if not 1 <= part.num_examples <= size:
        raise ReplyError(f"num_examples = {part.num_examples}, its partition holds {size}")
    steps = expected.client.num_steps(size)
    if not 1 <= part.num_steps <= steps:
        raise ReplyError(f"num_steps = {part.num_steps}, a round has {steps}")
    claims = {claim.name: getattr(part, claim.name) for claim in fields(Claims)}
    return UsableReply(**claims, buffers=buffers)
