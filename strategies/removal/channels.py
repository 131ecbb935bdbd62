"""Output channels of convolutions: what scales them, what they do on samples, and taking them out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Channels:
    """The output channels of a convolution.

    Parameters
    ----------
    convolution
        Its kernel is ``(n_channels, n_inputs per group, height, width)``.
    norm
        The BatchNorm that takes what the convolution puts out, if it scales channels; None: there is none.
    """

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.convolution.out_channels

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The parameters that make them, the channel being the first axis of each."""
        found = [self.convolution.weight, self.convolution.bias]
        if self.norm is not None:
            found += [self.norm.weight, self.norm.bias]
        return [tensor for tensor in found if tensor is not None]

    @torch.no_grad()
    def silence(self, channels: torch.Tensor) -> None:
        """Set all parameters of some channels, by number, to zero: they put out zeros then."""
        for tensor in self.tensors:
            tensor[channels] = 0

    @torch.no_grad()
    def copied(self) -> list[torch.Tensor]:
        """Return copies of `tensors`."""
        return [tensor.clone() for tensor in self.tensors]

    @torch.no_grad()
    def restore(self, copies: list[torch.Tensor]) -> None:
        """Take back what `copied` has returned."""
        for tensor, copy in zip(self.tensors, copies, strict=True):
            tensor.copy_(copy)

    @contextmanager
    def observed(self) -> Iterator[list[torch.Tensor]]:
        """Yield a list to which each pass adds channels' mean activations, float32 ``(n_channels,)``.

        An activation is the positive part of what a channel puts out, behind BatchNorm: what ReLU leaves.
        """
        seen: list[torch.Tensor] = []
        hook = (self.norm or self.convolution).register_forward_hook(
            lambda layer, inputs, output: seen.append(output.detach().relu().mean(dim=(0, 2, 3)))
        )
        try:
            yield seen
        finally:
            hook.remove()


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    """Return a network's convolutions of images."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@torch.no_grad()
def channels_of(network: nn.Module, image_shape: tuple[int, ...]) -> list[Channels]:
    """Return the channels of all convolutions in the order in which an image passes them.

    Which BatchNorm follows which convolution is seen, not guessed from names or from the order in which a
    network lists its layers: it is the one that is given the very tensor which the convolution has put out.

    Parameters
    ----------
    network
        In evaluation mode.
    image_shape
        Channels, height, width.
    """
    passed: list[tuple[nn.Conv2d, torch.Tensor]] = []
    norms: dict[nn.Conv2d, nn.BatchNorm2d] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            passed.append((layer, output))
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine and layer.running_var is not None:
            norms.update({convolution: layer for convolution, made in passed if made is inputs[0]})

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        some = next(network.parameters())
        network(torch.zeros((1, *image_shape), dtype=some.dtype, device=some.device))
    finally:
        for hook in hooks:
            hook.remove()
    return [Channels(layer, norms.get(layer)) for layer in dict(passed)]
