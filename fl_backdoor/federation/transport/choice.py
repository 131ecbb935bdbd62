"""How models and updates travel, by name, and both ends of each way."""

from functools import lru_cache
from typing import Literal

from fl_backdoor.core.layout import Layout
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.messages import TrainTask
from fl_backdoor.federation.transport.node import InMessages, InSharedMemory, NodeExchange
from fl_backdoor.federation.transport.packed import PackedOnNode, PackedOnServer
from fl_backdoor.federation.transport.server import ByMessages, BySharedMemory, Exchange
from fl_backdoor.federation.transport.shared_round import SharedRound, open_shared_round

Transport = Literal["memory", "messages", "float32", "float16"]
"""Memory that server and workers share; Flower's messages, an array a tensor; messages with a model and an
update in one piece, which is float32 or float16."""


def open_exchange(transport: Transport, layout: Layout, num_rows: int) -> Exchange:
    """Return the server's end for rounds of `num_rows` clients; close it in the end."""
    if transport == "memory":
        return BySharedMemory(layout, num_rows)
    if transport == "messages":
        return ByMessages(layout, num_rows)
    return PackedOnServer(layout, num_rows, transport)


def exchange_for(model: ModelArrays, task: TrainTask, layout: Layout) -> NodeExchange:
    """Return the node's end that a train message asks for."""
    if task.packing:
        return PackedOnNode(model[0], layout, task.packing)  # type: ignore[arg-type]  # a server sent it: checked there
    if not task.shared_round:
        return InMessages(model)
    return InSharedMemory(_shared_round(task.shared_round, layout, task.num_rows), layout)


@lru_cache(maxsize=1)
def _shared_round(address: str, layout: Layout, num_rows: int) -> SharedRound:
    return open_shared_round(address, layout, num_rows)
