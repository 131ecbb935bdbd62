"""Small workbenches with samples of their own, for whatever rule needs one."""

import torch
from torch import nn

from strategies.torch_workbench import TorchWorkbench
from strategies.workbench import RootData

IMAGE_SHAPE, NUM_CLASSES = (1, 8, 8), 4

PLACES = (1, 1), (1, 4), (4, 1), (4, 4)
"""Where the bright square of each class is."""


def some_samples(count: int, seed: int) -> RootData:
    """Return images of four classes: noise, and a bright square in one of four places."""
    labels = torch.arange(count) % NUM_CLASSES
    inputs = 0.6 * torch.randn(count, *IMAGE_SHAPE, generator=torch.Generator().manual_seed(seed))
    for label, (row, column) in enumerate(PLACES):
        inputs[labels == label, :, row : row + 3, column : column + 3] += 1
    return RootData(inputs, labels)


def small_cnn() -> nn.Sequential:
    """Return a network of two convolutions with BatchNorm, its weights always the same."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*block(1, 12), *block(12, 16), nn.Flatten(), nn.Linear(64, NUM_CLASSES))


def small_bench(num_root: int = 20) -> TorchWorkbench:
    """Return a workbench on `small_cnn`."""
    return TorchWorkbench(small_cnn, IMAGE_SHAPE, NUM_CLASSES, some_samples(num_root, seed=7))
