"""Manipulations, one after the other, of a model that a client has trained."""

from collections.abc import Iterable

import numpy as np

from fl_backdoor.attacks.knowledge import Knowledge
from fl_backdoor.attacks.updates.base import Manipulation
from fl_backdoor.core.types import ModelArrays


def manipulated(updates: Iterable[Manipulation], trained: ModelArrays, knowledge: Knowledge) -> ModelArrays:
    """Return the model that is sent instead of the trained one.

    What is no parameter, and integers in any case, are sent as they were trained: a variance times ten may
    well be negative.

    Parameters
    ----------
    updates
        In this order.
    trained
        The local model, in the order of ``knowledge.layout``.
    knowledge
        Of the client, in this round: the global model that it received, among other things.

    Raises
    ------
    ReplyError
        If the trained model is not one of this layout, or not finite.
    """
    layout = knowledge.layout
    update = layout.update(trained, knowledge.received)
    for manipulation in updates:
        update = manipulation.manipulated(update, knowledge)
    sent = layout.moved(knowledge.received, update, layout.buffers(trained))
    return [
        changed if np.issubdtype(np.dtype(tensor.dtype), np.floating) else counted
        for tensor, changed, counted in zip(layout.tensors, sent, trained, strict=True)
    ]
