"""Input-aware: a small network draws a trigger of its own for each image.

A. Nguyen, A. Tran, Input-Aware Dynamic Backdoor Attack, NeurIPS 2020, https://arxiv.org/abs/2010.08138,
section 3: a generator makes a pattern p and a mask m of each image x, and stamps ``(1 - m) x + m p``; a
diversity loss, ``|x - x'| / |g(x) - g(x')|``, keeps the triggers of different images apart, and the mask is
held to a small part of the image.

Deviations, beside the authors' code (VinAIResearch/input-aware-backdoor-attack-release): one small network
gives pattern and mask, where theirs are two deeper ones, the second of which is trained first, with a loss
for what of a mask is above 0.032; here that is the share of the image that the mask covers, by construction,
and masks are soft, where theirs are nearly 0 or 1. The diversity loss has 0.001 under its root, theirs 1e-7
outside. The network learns against the global model at the start of each round, and local training stamps
with what it has learnt; the paper trains generator and classifier step by step. The paper's cross-trigger
samples, stamped with another image's trigger and left with their labels, are left out, so that a trigger may
work on other images as well.
"""

from collections.abc import Iterator
from itertools import islice

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.attacks.triggers.adaptive import AdaptiveTrigger
from fl_backdoor.core.types import NonNegative, Positive, PositiveCount, Ratio, TorchSeed
from fl_backdoor.data.samples import Batch

WIDTH = 16
SMALLEST = 1e-3


class InputAware(AdaptiveTrigger):
    """Four convolutions, at half the resolution in the middle.

    Parameters
    ----------
    image_shape
        Channels, height, width of the images.
    density
        Share of the image that the mask covers at most.
    steps, learning_rate
        Steps of Adam a round, and their size.
    diversity
        Weight of the diversity loss.
    seed
        The first weights follow from it.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        density: Ratio = 0.032,
        steps: PositiveCount = 40,
        learning_rate: Positive = 0.01,
        diversity: NonNegative = 1.0,
        seed: TorchSeed = 0,
    ) -> None:
        super().__init__()
        channels = image_shape[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.down = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            self.middle = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU())
            self.up = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU())
            self.out = nn.Conv2d(WIDTH, channels + 1, 3, padding=1)
        self.requires_grad_(requires_grad=False)
        self.density = density
        self.steps = steps
        self.learning_rate = learning_rate
        self.diversity = diversity

    def drawn(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for each image a pattern of its shape and a mask ``(n, 1, height, width)``, in [0, 1].

        The mask is at most `density` on average.
        """
        small = self.middle(self.down(images))
        whole: torch.Tensor = self.out(self.up(F.interpolate(small, images.shape[-2:])))
        pattern, mask = whole[:, :-1].sigmoid(), whole[:, -1:]
        shares = mask.flatten(1).softmax(1).view_as(mask)
        return pattern, (shares * (self.density * shares[0].numel())).clamp(max=1)

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        """Return each image with its own trigger."""
        return _stamped(images, *self.drawn(images))

    def learn(self, model: nn.Module, batches: Iterator[Batch], target_label: int) -> None:
        """Take `steps` steps; within a batch each image is compared with its neighbour."""
        optimizer = torch.optim.Adam(self.parameters(), self.learning_rate)
        for pixels, labels in islice(batches, self.steps):
            pattern, mask = self.drawn(pixels)
            logits = model(_stamped(pixels, pattern, mask))
            loss = F.cross_entropy(logits, torch.full_like(labels, target_label))
            loss = loss + self.diversity * _sameness(pixels, pattern)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
            optimizer.step()


def _stamped(images: torch.Tensor, pattern: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (1 - mask) * images + mask * pattern


def _sameness(images: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``|x - x'| / |p - p'|`` over neighbours in the batch, as root mean squares."""
    apart = [(batch - batch.roll(1, 0)).square().flatten(1).mean(1) for batch in (images, patterns)]
    return (apart[0] / (apart[1] + SMALLEST)).sqrt().mean()
