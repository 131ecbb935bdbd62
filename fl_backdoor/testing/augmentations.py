"""What every augmentation must satisfy."""

from collections.abc import Callable

import torch

from fl_backdoor.training.augmentations.base import Augmentation

LARGEST = 1 - 2**-24
"""The largest number below 1 that is drawn."""


def check_augmentation(build: Callable[[], Augmentation], samples: torch.Tensor) -> None:
    """See that an augmentation changes copies, each by its own draws and by nothing else.

    Parameters
    ----------
    build
        Makes the augmentation anew, as another process would.
    samples
        At least three raw samples that it changes, such as `some_images`, or sentences.

    Raises
    ------
    AssertionError
        If it does not.
    """
    augmentation, count = build(), len(samples)
    draws = torch.rand(count, augmentation.num_draws, generator=torch.Generator().manual_seed(1))
    augmented = _augmented(augmentation, samples, draws)
    assert not torch.equal(augmented, samples), "nothing is changed"
    assert torch.equal(_augmented(build(), samples, draws), augmented), "the same draws change it otherwise"
    for half in (slice(2), slice(2, None)):
        alone = _augmented(augmentation, samples[half], draws[half])
        assert torch.equal(alone, augmented[half]), "what is beside a sample in the batch changes it"
    for extreme in (0, LARGEST):
        _augmented(augmentation, samples, torch.full_like(draws, extreme))


def _augmented(augmentation: Augmentation, samples: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    before, drawn, state = samples.clone(), draws.clone(), torch.get_rng_state()
    augmented = augmentation.augmented(samples, draws)
    assert torch.equal(torch.get_rng_state(), state), "it draws by itself"
    assert torch.equal(samples, before) and torch.equal(draws, drawn), "the originals are changed"
    assert (augmented.shape, augmented.dtype) == (samples.shape, samples.dtype), "another shape or type"
    if samples.is_floating_point():
        assert 0 <= augmented.min() <= augmented.max() <= 1, "pixels leave [0, 1]"
    return augmented
