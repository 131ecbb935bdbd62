"""Who takes part in a round, and which node is asked for whom."""

from collections.abc import Iterable

from fl_backdoor.seeding import Purpose, generator


def draw(num_clients: int, num_participants: int, seed: int, server_round: int) -> list[int]:
    """Draw the client ids of a round, sorted.

    Flower's node ids are random in every run, so participants are drawn by client id: the same seed asks
    the same clients.
    """
    drawn = generator(seed, Purpose.PARTICIPANTS, server_round).choice(
        num_clients, size=num_participants, replace=False
    )
    return sorted(int(client_id) for client_id in drawn)


def assign(client_ids: list[int], node_ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Share clients evenly among nodes, any of which can host any client; idle nodes are left out."""
    nodes = sorted(node_ids)
    shares = {node: tuple(client_ids[place :: len(nodes)]) for place, node in enumerate(nodes)}
    return {node: share for node, share in shares.items() if share}
