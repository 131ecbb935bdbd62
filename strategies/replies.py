"""Replies are claims: what cannot be true costs a client its place in the round, and never ends the run."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flwr.app import Message

from fl_backdoor.errors import ReplyError
from fl_backdoor.messages import ClientFailure, ClientReply, unpack_replies
from fl_backdoor.updates import Layout

if TYPE_CHECKING:
    from strategies.base import Federation

log = logging.getLogger("fl_backdoor")


@dataclass(frozen=True)
class RoundReplies:
    """The replies of a round: those that can be used, and why the others cannot, both by client id."""

    asked: tuple[int, ...]
    usable: tuple[ClientReply, ...]
    rejected: Mapping[int, str]


def collect(
    messages: Iterable[Message],
    asked: Mapping[str, tuple[int, ...]],
    federation: "Federation",
    layout: Layout,
) -> RoundReplies:
    """Sort the replies of a round.

    Parameters
    ----------
    messages
        The nodes' replies, in any order.
    asked
        Clients asked for, by the id of the message that asked. Replies are matched by it, because Flower
        answers in the place of a node that died.
    federation, layout
        What replies are checked against.
    """
    heard: dict[int, ClientReply | ClientFailure] = {}
    for message in messages:
        client_ids = asked.get(message.metadata.reply_to_message_id, ())
        for part in _parts(message, client_ids):
            heard[part.client_id] = part
    everybody = sorted(client_id for ids in asked.values() for client_id in ids)
    usable, rejected = [], {}
    for client_id in everybody:
        part = heard.get(client_id, ClientFailure(client_id, "no reply in time"))
        try:
            usable.append(_checked(part, federation, layout))
        except ReplyError as error:
            rejected[client_id] = str(error)
            log.warning("client %d loses its place in the round: %s", client_id, error)
    return RoundReplies(tuple(everybody), tuple(usable), rejected)


def _parts(message: Message, client_ids: tuple[int, ...]) -> list[ClientReply | ClientFailure]:
    if message.has_error():
        reason = f"its node failed: {message.error.reason}"
        return [ClientFailure(client_id, reason) for client_id in client_ids]
    return unpack_replies(message.content, client_ids)


def _checked(part: ClientReply | ClientFailure, federation: "Federation", layout: Layout) -> ClientReply:
    if isinstance(part, ClientFailure):
        raise ReplyError(" ".join(part.reason.split()))
    size = federation.partition_sizes[part.client_id]
    if not 1 <= part.num_examples <= size:
        raise ReplyError(f"num_examples = {part.num_examples}, its partition holds {size}")
    steps = federation.client.num_steps(size)
    if not 1 <= part.num_steps <= steps:
        raise ReplyError(f"num_steps = {part.num_steps}, a round has {steps}")
    layout.check(part.arrays)
    return part
