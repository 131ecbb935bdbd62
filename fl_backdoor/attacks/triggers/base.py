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

        Parameters
        ----------
        images
            float32 ``(n, channels, height, width)``, usually pixels in [0, 1].
        """
