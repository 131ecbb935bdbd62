import numpy as np
import pytest
from PIL import Image

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.recorder import draw_samples


@pytest.mark.parametrize("count", [1, 6, 9])
def test_fewer_test_images_than_are_shown_are_shown_all(tmp_path, count):
    for split in ("train", "test"):
        place = tmp_path / "pets" / split / "cat"
        place.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(place / f"{number}.png")
    overrides = ["dataset=image_folder", "dataset.folder=pets", "attack.target_label=0", "engine.device=cpu"]
    places = [f"dataset.root={tmp_path}", f"dataset.cache={tmp_path / 'cache'}"]
    draw_samples(
        ExperimentContext(parse_whole(next(composed([*overrides, *places])))[0]),
        b"",
        tmp_path / "samples.png",
    )
    with Image.open(tmp_path / "samples.png") as drawn:
        assert drawn.size[0] >= 900
