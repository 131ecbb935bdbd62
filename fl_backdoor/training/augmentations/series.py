"""Augmentations one after the other."""

from collections.abc import Sequence

import torch

from fl_backdoor.training.augmentations.base import Augmentation


class Series(Augmentation):
    """Changes samples by each of its steps, in order.

    Parameters
    ----------
    steps
        At least one.
    """

    def __init__(self, steps: Sequence[Augmentation]) -> None:
        super().__init__()
        self.steps = tuple(steps)
        for number, step in enumerate(steps):
            self.add_module(str(number), step)
        self._counts = [step.num_draws for step in steps]
        self.num_draws = sum(self._counts)

    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return what the last step leaves."""
        for step, own in zip(self.steps, torch.split(draws, self._counts, dim=1), strict=True):
            samples = step.augmented(samples, own)
        return samples
