"""The clients that a key was registered for.

They stand in the name under which the SuperLink keeps the key, as ``node-3 [partition 3]``. Only who may
register can write there (Flower's Control API), a node cannot; every server app reads it beside the key's
node.
"""

import re
from collections.abc import Sequence

from flwr.proto.node_pb2 import NodeInfo

from fl_backdoor.core.foreign_text import cleaned

MOST_NAMED = 10
"""Clients of a node that a line names; the others are counted."""

_BOUND = re.compile(r".* \[partition ([0-9]{1,9}(?:,[0-9]{1,9})*)\]", re.DOTALL)


def registered_name(name: str, client_ids: Sequence[int]) -> str:
    """Return the name of a key that is registered for these clients; without any: for none in particular."""
    return f"{name} [partition {','.join(map(str, client_ids))}]" if client_ids else name


def registered_clients(node: NodeInfo) -> tuple[int, ...]:
    """Return the clients that a node's key was registered for, ascending; empty: none in particular."""
    found = _BOUND.fullmatch(node.name)
    return tuple(sorted({int(one) for one in found[1].split(",")})) if found else ()


def described(node: NodeInfo) -> str:
    """Return how a user is told of a node, such as ``node 7 (node-3 [partition 3])``."""
    return f"node {node.node_id} ({cleaned(node.name)})" if node.name else f"node {node.node_id}"


def named_clients(client_ids: Sequence[int]) -> str:
    """Return clients in words: ``client 3``, ``clients 3, 4``; of many the first ten and how many more."""
    numbers = ", ".join(map(str, client_ids[:MOST_NAMED]))
    more = len(client_ids) - MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"{'client' if len(client_ids) == 1 else 'clients'} {numbers}{rest}"
