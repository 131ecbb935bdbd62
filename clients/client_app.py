"""Anybody's `ClientApp`, some of whose nodes are malicious."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp

from clients.manipulated import Turn, check_alone, manipulated_record, round_of
from fl_backdoor.attacks.schedule import Schedule
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.errors import ConfigError

PARTITION_ID = "partition-id"
"""What Flower's simulation, and who starts SuperNodes by its documents, tells each node."""


class MaliciousClientApp(ClientApp):
    """An app whose malicious nodes train on poisoned data, and change their updates before they send them.

    Train messages of any action are attacked; evaluation and queries are the honest app's, and so are rounds
    in which a node does not attack. Lifespan and mods are those of the two apps.

    Parameters
    ----------
    honest
        The app as it was.
    poisoned
        The same with poisoned data, see `fl_backdoor.attacks.PoisonedDataset`; None: the honest one trains.
    partition_ids
        Nodes with these partition ids are malicious; None: all nodes that run this app.
    updates
        Manipulations of the update, in this order. Some train the honest app's way as well.
    schedule
        Rounds in which they attack; None: all.
    seed
        Of what manipulations draw.
    buffers
        Names of arrays that are no parameters; None: what PyTorch calls BatchNorm's buffers.

    Raises
    ------
    ConfigError
        If a manipulation lives on what only the bench passes on. In a round: if a message does not hold one
        model and the round, as those of Flower's strategies do, or a node has no partition id.
    """

    def __init__(
        self,
        honest: ClientApp,
        poisoned: ClientApp | None = None,
        *,
        partition_ids: Collection[int] | None = None,
        updates: Sequence[Manipulation] = (),
        schedule: Schedule | None = None,
        seed: int = 0,
        buffers: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        check_alone(updates)
        self.honest = honest
        self.poisoned = poisoned or honest
        self.partition_ids = None if partition_ids is None else sorted(partition_ids)
        self.updates = tuple(updates)
        self.schedule = schedule
        self.seed = seed
        self.buffers = buffers

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message."""
        category = message.metadata.message_type.partition(".")[0]
        rank = self._rank(context) if category == MessageType.TRAIN else None
        if rank is None or not self._attacks(message, rank):
            return self.honest(message, context)
        if not self.updates:
            return self.poisoned(message, context)
        before = deepcopy(context)  # what honest training would have found, and leaves behind
        reply = self.poisoned(message, context)
        if not reply.has_error():
            name, trained = _model(reply.content)
            reply.content[name] = self._manipulated(trained, message, before, rank)
        return reply

    def _rank(self, context: Context) -> int | None:
        """Return the node's rank among the malicious ones; None: it is honest."""
        if self.partition_ids is None:
            return 0
        if not isinstance(found := context.node_config.get(PARTITION_ID), int):
            raise ConfigError(PARTITION_ID, found, "a node needs one, to tell who is malicious")
        return self.partition_ids.index(found) if found in self.partition_ids else None

    def _attacks(self, message: Message, rank: int) -> bool:
        return self.schedule is None or self.schedule.is_active(_round(message), rank)

    def _manipulated(
        self, trained: ArrayRecord, message: Message, context: Context, rank: int
    ) -> ArrayRecord:
        num_malicious = 1 if self.partition_ids is None else len(self.partition_ids)
        return manipulated_record(
            self.updates,
            trained,
            _model(message.content)[1],
            Turn(_round(message), rank, num_malicious, self.seed),
            buffers=self.buffers,
            honest=lambda: _model(self.honest(message, context).content)[1],
        )


def _round(message: Message) -> int:
    config: dict[str, Any] = {}
    for record in message.content.config_records.values():
        config |= record
    return round_of(config)


def _model(content: RecordDict) -> tuple[str, ArrayRecord]:
    """Return the name of the one model in a message, and the model."""
    if len(content.array_records) != 1:
        raise ConfigError("message", f"{len(content.array_records)} ArrayRecords", "must hold one, the model")
    [found] = content.array_records.items()
    return found
