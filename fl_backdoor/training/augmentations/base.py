"""What every augmentation is: a random change of training samples, to which its random numbers are handed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from fl_backdoor.core.seeding import Purpose, integer_seed


class Augmentation(nn.Module, ABC):
    """A change of raw training samples, drawn anew for each sample of each batch; labels stay.

    It draws nothing by itself. The trainer draws `num_draws` numbers a sample from seed, round and client
    alone, on the CPU, so that the same samples come out on every device and in every worker. Being a module
    it takes its tensors along to a GPU.

    Attributes
    ----------
    num_draws
        How many random numbers a sample takes.
    """

    num_draws: int

    @abstractmethod
    def augmented(self, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return changed copies, each by its own draws alone.

        On a GPU a training step is recorded once and replayed, and this with it: same work for each batch,
        no decision that depends on a value, no transfer from or to main memory.

        Parameters
        ----------
        samples
            Images, float32 ``(n, channels, height, width)`` with pixels in [0, 1], as is what is returned. Or
            sentences, int32 ``(n, num_tokens)``.
        draws
            Uniform numbers in [0, 1), float32 ``(n, num_draws)``, on the samples' device.
        """


def picked(draws: torch.Tensor, count: int) -> torch.Tensor:
    """Return whole numbers 0 … count - 1, each as likely, int64, for uniform `draws` in [0, 1)."""
    return (draws * count).long().clamp_(max=count - 1)  # the product may be rounded up to count


def pixels_at(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return the pixels of each image at whole-numbered places, black where these lie outside of it.

    Parameters
    ----------
    images
        ``(n, channels, height, width)``.
    rows, columns
        Of each pixel of the result, int64, of shapes that go with ``(n, height, width)``.
    """
    count, channels, height, width = images.shape
    framed = F.pad(images, (1, 1, 1, 1))  # all that lies outside is taken from the frame
    rows, columns = rows.clamp(-1, height) + 1, columns.clamp(-1, width) + 1
    first = torch.arange(count, device=images.device).view(-1, 1, 1) * (height + 2)
    places = (first + rows) * (width + 2) + columns
    pixels = framed.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, places.flatten())
    return pixels.view(*places.shape, channels).permute(0, 3, 1, 2)


def draws_for(
    augmentation: Augmentation, batch_sizes: list[int], generator: torch.Generator, device: torch.device
) -> Iterator[torch.Tensor]:
    """Return the draws of one batch after the other, without end.

    Parameters
    ----------
    augmentation
        What they are for.
    batch_sizes
        Of one pass over the samples; the next passes have the same.
    generator
        On the CPU; about to shuffle the samples. It is left as it is, so that batches hold the same samples
        with and without augmentation.
    device
        Where the draws are to lie.
    """
    state = int(torch.randint(2**62, (), generator=generator.clone_state()))
    own = torch.Generator().manual_seed(integer_seed(state, Purpose.AUGMENTATION))

    def drawn() -> Iterator[torch.Tensor]:
        while True:
            one_pass = torch.rand(sum(batch_sizes), augmentation.num_draws, generator=own)
            yield from torch.split(one_pass.to(device), batch_sizes)

    return drawn()
