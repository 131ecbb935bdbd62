"""What malicious clients share: they have ways of their own to tell each other.

It travels with the messages, unread by the rule on the server, and lies in checkpoints, so that attacks go on
between machines, with any number of workers, and after a run that was killed, with the same bits. The bench,
which measures the attack and is one of their side, merges what they say after each round.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fl_backdoor.core.types import ParameterVector

TRIGGER = "trigger"
"""What the trigger has learnt."""

PREVIOUS_MODEL = "previous_model"
"""Parameters of the global model that one of them was sent last, if an attack asks for them."""

SharedState = Mapping[str, NDArray[np.float32]]
"""Vectors by name."""


def packed(state: SharedState) -> bytes:
    """Return the state in one piece; nothing is empty."""
    kept = {name: np.ascontiguousarray(vector) for name, vector in state.items() if vector.size}
    return save(kept) if kept else b""


def unpacked(piece: bytes) -> SharedState:
    """Return what `packed` made one piece of; nothing, if somebody else made it of something else."""
    if not piece:
        return {}
    try:
        return load(piece)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return {}


def previous_model(state: SharedState, num_params: int) -> ParameterVector | None:
    """Return the parameters of the global model before, float32 ``(num_params,)``, if they are known."""
    found = state.get(PREVIOUS_MODEL)
    if found is None or found.dtype != np.float32 or found.shape != (num_params,):
        return None
    return found
