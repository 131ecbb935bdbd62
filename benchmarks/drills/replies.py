"""Replies that are hostile or broken, by the thousand: none may raise, or cost anybody but its sender.

Each try is a round of four clients on two nodes, with the strategies' own code, Flower's messages and a model
of a few numbers. One node's reply is spoilt at random: its arrays, its numbers, its texts, its records, the
message as a whole, or the bytes that travel between machines. Then the clients of the other node must have
their places, the global model must be finite, and what is written of the round must be short, printable and
read back as it was written.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from benchmarks.drills.outcome import Options, Outcome
from benchmarks.drills.spoiling import Rng, over_the_wire, pick, spoil, text
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.core import table
from fl_backdoor.core.foreign_text import LONGEST
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.courier import HostedClients
from fl_backdoor.federation.messages import MOST_SHARED, ClientReply, pack_replies, unpack_task
from fl_backdoor.federation.transport.choice import Transport, exchange_for
from strategies.base import ServerContext
from strategies.rules.fedavg import FedAvg

NAMES = ("fuzz_replies",)
TRIES = 10_000
WAYS: tuple[Transport, ...] = ("messages", "memory", "float32", "float16")
NODES = (901, 902)
NUM_CLIENTS = 4
COLUMNS = ("client_id", "rejected")
LAYOUT = Layout(
    (
        TensorSpec("weight", (2, 3), "float32", True),
        TensorSpec("mean", (3,), "float32", False),
        TensorSpec("count", (), "int64", False),
        TensorSpec("nothing", (0, 2), "float32", True),
        TensorSpec("bias", (1,), "float32", True),
    )
)


def why_not() -> str | None:
    """Return None: nothing is needed."""
    return None


def outcomes(names: Sequence[str], options: Options) -> Iterator[Outcome]:
    """Spoil as many replies as are asked for, by turns over all ways in which they travel."""
    started = time.monotonic()
    tries = options.tries or TRIES
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    logging.getLogger("flwr").setLevel(logging.ERROR)  # it warns of each record that takes another's place
    lost: list[str] = []
    refused = 0
    with TemporaryDirectory() as folder, _Log(Path(folder) / "run.log") as log:
        for number in range(tries):
            way = WAYS[number % len(WAYS)]
            rng = np.random.default_rng([options.seed, number])
            try:
                refused += _Round(way, rng, Path(folder)).play()
                log.raise_what_it_could_not_write()
            except Exception as error:  # what the drill is to find
                lost.append(
                    f"{way}, seed {options.seed}, try {number}: {type(error).__name__}: {error}"[:300]
                )
    yield Outcome(
        drill="Send replies that are hostile or broken, by all ways of travel",
        came_to=f"{tries} replies: {refused} clients lost their own place, {len(lost)} times more was lost",
        lost=lost,
        seconds=time.monotonic() - started,
        details={"tries": tries, "refused": refused, "seed": options.seed},
    )


class _Log(logging.FileHandler):
    """The run's log file, strict: what cannot be written is a loss."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self._error: Exception | None = None

    def __enter__(self) -> "_Log":
        self._logger = logging.getLogger("fl_backdoor")
        self._before = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._before
        self.close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        self._error = RuntimeError(f"could not be logged: {record.msg}")

    def raise_what_it_could_not_write(self) -> None:
        """Raise what went wrong since the last call."""
        error, self._error = self._error, None
        if error is not None:
            raise error


class _Round:
    """One round in which one node's reply is spoilt."""

    def __init__(self, way: Transport, rng: Rng, folder: Path) -> None:
        self.way = way
        self.rng = rng
        self.file = folder / "clients.csv"
        client = ClientConfig(0.5, 0.0, 0.0, batch_size=10, local_epochs=1)
        everybody = list(range(NUM_CLIENTS))
        self.courier = HostedClients("{}", client, lambda _: everybody, way, learning_rate=lambda _: 0.5)
        self.strategy = FedAvg(courier=self.courier)
        self.strategy.prepare(ServerContext(LAYOUT, num_rounds=1, partition_sizes=(20,) * NUM_CLIENTS))

    def play(self) -> int:
        """Play it, and return how many clients lost their places; raises if anything else was lost."""
        try:
            return self._play()
        finally:
            self.strategy.close()

    def _play(self) -> int:
        model = _state(self.rng)
        sent = list(
            self.strategy.configure_train(1, ArrayRecord(model), ConfigRecord(), _Nodes())  # type: ignore[arg-type]  # all that it asks of a grid
        )
        for number, message in enumerate(sent):
            message.metadata.__dict__["_message_id"] = f"message-{number}"
        hostile = int(self.rng.integers(len(sent)))
        replies = [self._reply(message) for message in sent]
        innocent = unpack_task(sent[1 - hostile].content)[1].client_ids
        spoilt = self._spoilt(replies[hostile], sent)
        arrived = [replies[1 - hostile], *spoilt]
        if self.rng.random() < 0.5:
            arrived.reverse()
        arrays, _ = self.strategy.aggregate_train(1, arrived)
        return self._checked(innocent, arrays)

    def _reply(self, message: Message) -> Message:
        arrays, task = unpack_task(message.content)
        exchange = exchange_for(arrays, task, LAYOUT)
        said = [
            ClientReply(
                client_id,
                *(10, 2, 0.5, 0.1),
                shared_state=b"state"[: client_id * 2],
                arrays=exchange.deliver(_state(self.rng), row),
            )
            for client_id, row in zip(task.client_ids, task.rows, strict=True)
        ]
        return Message(pack_replies(said), reply_to=message)

    def _spoilt(self, reply: Message, sent: Sequence[Message]) -> list[Message]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.7:
            client_ids = [int(name.partition(".")[2]) for name in reply.content if name.startswith("model.")]
            victim = pick(rng, client_ids)
            spoil(rng, reply.content, victim)
            return [reply]
        if kind < 0.9:
            return [over_the_wire(rng, reply)]
        asked = next(one for one in sent if one.metadata.message_id == reply.metadata.reply_to_message_id)
        error = Message(Error(int(rng.integers(-5, 300)), text(rng)), reply_to=asked)
        stranger = Message(RecordDict(), reply_to=asked)
        stranger.metadata.__dict__["_reply_to_message_id"] = text(rng)
        options = [[], [error], [reply, reply], [reply, error], [error, reply], [reply, stranger], [stranger]]
        return pick(rng, options)

    def _checked(self, innocent: Sequence[int], arrays: ArrayRecord | None) -> int:
        replies = self.courier.replies
        assert replies is not None
        used = [reply.client_id for reply in replies.usable]
        assert set(innocent) <= set(used), f"{innocent} lost places: {dict(replies.rejected)}"
        assert sorted([*used, *replies.rejected]) == list(range(NUM_CLIENTS))
        assert arrays is not None
        assert all(np.isfinite(array).all() for array in arrays.to_numpy_ndarrays())
        assert all(len(reply.shared_state) <= MOST_SHARED for reply in replies.usable)
        rows = [{"client_id": client_id, "rejected": why} for client_id, why in replies.rejected.items()]
        for why in replies.rejected.values():
            assert why.isprintable(), f"not printable: {why!r}"
            assert 0 < len(why) <= LONGEST, f"{len(why)} characters"
        self.file.write_bytes(table.header(COLUMNS) + table.lines(rows, COLUMNS))
        assert table.read(self.file, COLUMNS) == rows
        return len(rows)


class _Nodes:
    """What a strategy asks of a grid: who is there."""

    def get_node_ids(self) -> tuple[int, ...]:
        return NODES


def _state(rng: Rng) -> ModelArrays:
    return [
        np.array(rng.integers(100)) if tensor.dtype == "int64" else rng.random(tensor.shape, np.float32)
        for tensor in LAYOUT.tensors
    ]
