"""Who takes part in a round, and which node is asked for whom."""

from collections.abc import Collection

from flwr.serverapp import Grid

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator
from fl_backdoor.federation.grid import StoppableGrid
from fl_backdoor.federation.selection.base import Candidates, Selection


def draw(
    selection: Selection, candidates: Candidates, seed: int, server_round: int, certain: Collection[int] = ()
) -> list[int]:
    """Draw the client ids of a round, sorted; those that take part for `certain` displace the last drawn.

    Raises
    ------
    ConfigError
        If the selection draws others than so many different clients.
    """
    random = generator(seed, Purpose.PARTICIPANTS, server_round)
    drawn = [int(client_id) for client_id in selection.drawn(server_round, candidates, random)]
    count, num_clients = candidates.num_participants, candidates.num_clients
    if len(drawn) != count or len({*drawn} & {*range(num_clients)}) != count:
        allowed = (
            f"draws {drawn} in round {server_round}, not {count} different ones of 0 … {num_clients - 1}"
        )
        raise ConfigError("selection", type(selection).__name__, allowed)
    others = [client_id for client_id in drawn if client_id not in certain]
    return sorted([*certain, *others[: count - len(certain)]])


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
    shares = {node: tuple(client_ids[index :: len(nodes)]) for index, node in enumerate(nodes)}
    return {node: share for node, share in shares.items() if share}
