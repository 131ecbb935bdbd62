"""A picture of all triggers of images: ``python -m benchmarks.triggers docs/images/triggers.png``.

A row a trigger, in the order of their names, below a row of test images as they are; CIFAR-10 where it can be
had. Triggers that learn are shown as they are before anybody has attacked.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import conf
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed

NUM_IMAGES = 6
FILES = (Path(conf.__file__).parent / "attack" / "trigger").glob("*.yaml")
TRIGGERS = sorted(file.stem for file in FILES if file.stem != "word")


def context(trigger: str) -> ExperimentContext:
    """Return what a run with this trigger would see."""
    config = parse_whole(next(composed([f"attack/trigger={trigger}", "engine.device=cpu"])))[0]
    return ExperimentContext(check_light(config).config)


def row(images: torch.Tensor) -> NDArray[np.uint8]:
    """Return images ``(n, channels, height, width)`` in [0, 1] side by side, ``(height, width, 3)``."""
    bytes_ = images.mul(255).round().to(torch.uint8).numpy()
    coloured = np.broadcast_to(bytes_, (len(bytes_), 3, *bytes_.shape[2:]))
    return np.concatenate(list(coloured.transpose(0, 2, 3, 1)), axis=1)


def draw(file: Path) -> None:
    """Draw the first test images with each trigger into `file`."""
    clean = torch.from_numpy(np.array(context(TRIGGERS[0]).data.test.samples[:NUM_IMAGES])) / 255
    rows = [row(clean), *(row(context(name).trigger.stamp(clean)) for name in TRIGGERS)]
    Image.fromarray(np.concatenate(rows)).save(file)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triggers", description=__doc__)
    parser.add_argument("file", type=Path, help="where the PNG is written")
    draw(parser.parse_args().file)


if __name__ == "__main__":
    main()
