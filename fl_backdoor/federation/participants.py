"""Who takes part in a round, and which node is asked for whom."""

from collections.abc import Collection

from flwr.serverapp import Grid

from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.federation.grid import StoppableGrid


def draw(
    num_clients: int, num_participants: int, seed: int, server_round: int, certain: Collection[int] = ()
) -> list[int]:
    """Draw the client ids of a round, sorted; those that take part for `certain` displace the last drawn.

    Flower's node ids are random in every run, so participants are drawn by client id: the same seed asks
    the same clients.
    """
    drawn = generator(seed, Purpose.PARTICIPANTS, server_round).choice(
        num_clients, size=num_participants, replace=False
    )
    others = [client_id for client_id in map(int, drawn) if client_id not in certain]
    return sorted([*certain, *others[: num_participants - len(certain)]])


def assign(client_ids: list[int], grid: Grid) -> dict[int, tuple[int, ...]]:
    """Say which node is asked for whom, by node id; idle nodes are left out.

    On real machines each client lives on a node of its own, and one whose node is away is not asked. In a
    simulation any node can host any client, and they are shared out evenly.
    """
    homes = grid.homes() if isinstance(grid, StoppableGrid) else None
    if homes is None:
        return _shared_out(client_ids, sorted(grid.get_node_ids()))
    nodes = sorted({homes[client_id] for client_id in client_ids if client_id in homes})
    return {
        node: tuple(client_id for client_id in client_ids if homes.get(client_id) == node) for node in nodes
    }


def sizes(planned: tuple[int, ...], grid: Grid) -> tuple[int, ...]:
    """Return how many samples each client has: as planned, or as it claims of data of its own."""
    own = grid.own_samples() if isinstance(grid, StoppableGrid) else {}
    return tuple(own.get(client_id, size) for client_id, size in enumerate(planned))


def _shared_out(client_ids: list[int], nodes: list[int]) -> dict[int, tuple[int, ...]]:
    shares = {node: tuple(client_ids[place :: len(nodes)]) for place, node in enumerate(nodes)}
    return {node: share for node, share in shares.items() if share}
