"""The ways in which models and updates can travel, by name."""

from typing import Literal

from fl_backdoor.core.layout import Layout
from fl_backdoor.federation.transport.server import ByMessages, BySharedMemory, Exchange

Way = Literal["memory", "messages", "float32", "float16"]
"""Memory that server and workers share; Flower's messages, an array a tensor; messages with a model and an
update in one piece, which is float32 or float16."""


def open_exchange(way: Way, layout: Layout, num_rows: int) -> Exchange:
    """Return the server's end for rounds of `num_rows` clients; close it in the end."""
    if way == "memory":
        return BySharedMemory(layout, num_rows)
    if way == "messages":
        return ByMessages(layout, num_rows)
    from fl_backdoor.federation.transport.packed import PackedOnServer

    return PackedOnServer(layout, num_rows, way)
