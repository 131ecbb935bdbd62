"""What every trigger must satisfy."""

from collections.abc import Callable, Sequence

import torch

from fl_backdoor.attacks.triggers.base import Trigger


def some_images(image_shape: Sequence[int], count: int = 5) -> torch.Tensor:
    """Return `count` images of noise, pixels in [0, 1], float32 ``(count, channels, height, width)``."""
    return torch.rand(count, *image_shape, generator=torch.Generator().manual_seed(1))


def check_trigger(build: Callable[[], Trigger], samples: torch.Tensor) -> None:
    """See that a trigger changes copies, within the range of samples, and always the same way.

    Parameters
    ----------
    build
        Makes the trigger anew, as another process would.
    samples
        At least two raw samples that the trigger changes, such as `some_images`, or sentences.

    Raises
    ------
    AssertionError
        If it does not.
    """
    trigger = build()
    stamped = _stamped(trigger, samples)
    assert torch.equal(_stamped(trigger, samples), stamped), "the same samples get another trigger"
    assert not torch.equal(stamped, samples), "nothing is stamped"
    if samples.is_floating_point():
        for extreme in (torch.zeros_like(samples), torch.ones_like(samples)):
            _stamped(trigger, extreme)
    other = build()
    again = torch.cat([_stamped(other, part) for part in torch.split(samples, 2)])
    assert torch.allclose(again.float(), stamped.float(), rtol=0, atol=1e-6), "another batch gets another one"
    for rank in range(2):
        part = trigger.part(rank, 2)
        assert trigger.part(rank, 2) is part, "a part must be the same object each time"
        _stamped(part, samples)


def _stamped(trigger: Trigger, samples: torch.Tensor) -> torch.Tensor:
    before = samples.clone()
    stamped = trigger.stamp(samples)
    assert torch.equal(samples, before), "the originals are changed"
    assert (stamped.shape, stamped.dtype) == (samples.shape, samples.dtype), "another shape or type"
    if samples.is_floating_point():
        assert 0 <= stamped.min() <= stamped.max() <= 1, "pixels leave [0, 1]"
    return stamped
