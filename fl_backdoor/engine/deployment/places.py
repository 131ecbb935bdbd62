"""Who hosts which client: nodes claim them, and not every claim holds.

A client belongs to the node whose key was registered for it. A client that no key was registered for belongs
to the first node that claims it, for as long as that one is connected: a later one never takes its place.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fl_backdoor.engine.deployment.binding import named_clients

Node = TypeVar("Node")


@dataclass(frozen=True)
class Claim:
    """What a node says of itself, and what the SuperLink says of it.

    Parameters
    ----------
    node
        How a user is told of it.
    client_ids
        The clients that live there, as it says.
    registered
        The clients that its key was registered for; empty: none in particular.
    since
        When it joined or, if its key was registered for certain clients, when that was; ISO 8601.
    """

    node: str
    client_ids: Sequence[int]
    registered: Sequence[int] = ()
    since: str = ""


def allowed(claim: Claim, num_clients: int) -> tuple[tuple[int, ...], list[str]]:
    """Return the clients of a claim that the run has and the node's key is good for.

    Parameters
    ----------
    claim
        Of one node.
    num_clients
        Of the run: client ids are 0 to `num_clients` - 1.

    Returns
    -------
    These clients, and a line for each reason why others are not among them.
    """
    inside, outside = _parted(claim.client_ids, range(num_clients))
    own, foreign = _parted(inside, claim.registered or range(num_clients))
    lines = []
    if outside:
        lines.append(_refusal(claim, outside, f"the run has {num_clients} clients, counted from 0"))
    if foreign:
        lines.append(_refusal(claim, foreign, f"its key is registered for {named_clients(claim.registered)}"))
    return own, lines


def places(claims: Mapping[Node, Claim], owners: Mapping[int, str]) -> tuple[dict[int, Node], list[str]]:
    """Return the node of each client.

    Parameters
    ----------
    claims
        What is `allowed`, by node.
    owners
        How a user is told of the node whose key was registered for a client, connected or not, by client id.

    Returns
    -------
    The node of each client that has one, and a line for each node that claims what is another's.
    """
    homes: dict[int, Node] = {}
    lines = []
    for node, claim in sorted(claims.items(), key=lambda item: item[1].since):
        refused: defaultdict[str, list[int]] = defaultdict(list)
        for client_id in claim.client_ids:
            if client_id in owners and not claim.registered:
                refused[f"that is the place of {owners[client_id]}"].append(client_id)
            elif client_id in homes:
                refused[f"{claims[homes[client_id]].node} was there first"].append(client_id)
            else:
                homes[client_id] = node
        lines += [_refusal(claim, client_ids, reason) for reason, client_ids in refused.items()]
    return homes, lines


def _parted(client_ids: Sequence[int], good: Container[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the client ids that are in `good`, and those that are not."""
    return (
        tuple(client_id for client_id in client_ids if client_id in good),
        tuple(client_id for client_id in client_ids if client_id not in good),
    )


def _refusal(claim: Claim, client_ids: Sequence[int], reason: str) -> str:
    return f"{claim.node} may not host {named_clients(client_ids)}: {reason}"
