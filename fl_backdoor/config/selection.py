"""Who takes part in a round: the group ``selection`` of the configuration."""

from typing import Annotated, Any

from fl_backdoor.config.marks import Mark


def uniform() -> dict[str, Any]:
    """Return the plain draw, which is what older runs were made with."""
    return {"_target_": "fl_backdoor.federation.selection.uniform.Uniform"}


class SelectionSettings:
    """Marks of a selection's settings by name, those of a plug-in's from another package included."""

    num_attackers: Annotated[int, Mark.ONLY_UNDER_ATTACK]
    every: Annotated[int, Mark.ONLY_UNDER_ATTACK]
    rounds: Annotated[list[int] | None, Mark.ONLY_UNDER_ATTACK]
    in_turn: Annotated[bool, Mark.ONLY_UNDER_ATTACK]
