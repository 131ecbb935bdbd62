"""Who is who among a run's clients."""

from fl_backdoor.core.table import Cell
from fl_backdoor.runs.run import Run

ATTACKER = "attacker"


def malicious_ids(run: Run) -> set[Cell]:
    """Return the ids of the clients that are malicious, as far as the run's table tells."""
    return {row["client_id"] for row in run.clients if row["malicious"] is True}


def named(client_id: Cell, attackers: set[Cell]) -> str:
    """Name a client on an axis."""
    return f"{client_id} ({ATTACKER})" if client_id in attackers else str(client_id)
