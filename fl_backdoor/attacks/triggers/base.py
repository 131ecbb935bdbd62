"""What every trigger is."""

from abc import ABC, abstractmethod

import torch


class Trigger(ABC):
    """A change of images that a backdoored model answers with the target class.

    A trigger knows nothing of poisoning: it is stamped on whatever it is given.
    """

    @abstractmethod
    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return stamped copies.

        On a GPU a training step is recorded once and replayed, and this with it: same work for each batch,
        no decision that depends on the pixels, no transfer from or to main memory.

        Parameters
        ----------
        images
            float32 ``(n, channels, height, width)``, usually pixels in [0, 1].
        """
