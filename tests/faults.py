"""Triggers that break the client that stamps them, for drills in a real simulation.

The server stamps too, to evaluate; there gradients are off and these are ordinary bars.
"""

import os

import torch

from fl_backdoor.attacks.triggers.bar import Bar


class RaisingBar(Bar):
    """Raises while a client trains."""

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("broken trigger")
        return super().stamp(images)


class KillingBar(Bar):
    """Ends the worker's process while a client trains."""

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            os._exit(1)
        return super().stamp(images)


class NanBar(Bar):
    """Makes the client's model NaN."""

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return super().stamp(images) * (float("nan") if torch.is_grad_enabled() else 1)
