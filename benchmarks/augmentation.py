"""What augmentation costs: a batch beside a training step of the article's CNN without any; they take turns.

CPU time of one thread, batches of 32 images of 3x32x32, in the precision that is native here.
"""

from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
import torch

from benchmarks.measure import Figure, Scale
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.samples import images_on_device
from fl_backdoor.models.factory import build_model
from fl_backdoor.training.augmentations.base import Augmentation, draws_for
from fl_backdoor.training.augmentations.crop import Crop
from fl_backdoor.training.augmentations.cutout import Cutout
from fl_backdoor.training.augmentations.flip import Flip
from fl_backdoor.training.augmentations.rotation import Rotation
from fl_backdoor.training.augmentations.series import Series
from fl_backdoor.training.precision import resolve_precision
from fl_backdoor.training.trainer import Trainer

IMAGE_SHAPE, NUM_CLASSES, NUM_IMAGES, BATCH_SIZE = (3, 32, 32), 10, 5000, 32
CPU = torch.device("cpu")
CHOICES: dict[str, tuple[Callable[..., Augmentation], ...]] = {
    "flip": (Flip,),
    "crop_flip": (Crop, Flip),
    "cutout": (Crop, Flip, Cutout),
    "rotation": (Rotation,),
}


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure a step, and what each augmentation would add to it."""
    torch.set_num_threads(1)  # as a worker does
    count = 2 if scale.small else 40
    loops = {
        name: _augmenting(Series([step(IMAGE_SHAPE) for step in steps])) for name, steps in CHOICES.items()
    }
    loops = {"a step without any": _training(), **loops}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(scale.repeats + 1):
        for name, loop in loops.items():
            started = process_time()
            loop(count)
            seconds[name].append((process_time() - started) / count)
    step, *others = ((name, values[1:]) for name, values in seconds.items())  # the first warms up
    yield Figure(step[0], "CPU time", "ms", tuple(1000 * value for value in step[1]))
    for name, values in others:
        yield Figure(
            f"augmentation={name}", "CPU time a batch", "ms", tuple(1000 * value for value in values)
        )
        shares = tuple(value / whole for value, whole in zip(values, step[1], strict=True))
        yield Figure(f"augmentation={name}", "share of a step", "", shares)


def _training() -> Callable[[int], None]:
    """Return what takes so many steps."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (NUM_IMAGES, *IMAGE_SHAPE), dtype=np.uint8)
    labels = generator.integers(0, NUM_CLASSES, NUM_IMAGES)
    images = images_on_device(pixels, labels, (0.5,) * 3, (0.25,) * 3, CPU)
    spec = {"_target_": "fl_backdoor.models.cnn.CNN"}
    model = build_model(spec, {"image_shape": IMAGE_SHAPE}, NUM_CLASSES, 0)
    settings = ClientConfig(0.05, 0.9, 0.0, BATCH_SIZE, 1)
    trainer = Trainer(model, settings, resolve_precision("auto", CPU))

    def take(count: int) -> None:
        steps = trainer.steps(images, torch.Generator().manual_seed(0))
        for _ in range(count):
            next(steps)

    return take


def _augmenting(augmentation: Augmentation) -> Callable[[int], None]:
    """Return what draws for and augments so many batches."""
    raw = torch.rand(BATCH_SIZE, *IMAGE_SHAPE).contiguous(memory_format=torch.channels_last)

    def augment(count: int) -> None:
        draws = draws_for(augmentation, [BATCH_SIZE], torch.Generator().manual_seed(0), CPU)
        for _ in range(count):
            augmentation.augmented(raw, next(draws))

    return augment
