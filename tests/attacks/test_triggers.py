"""What holds for every trigger of images, and what each of them does, worked out by hand."""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import conf
from fl_backdoor.attacks.triggers.blended import Blended
from fl_backdoor.attacks.triggers.distributed import Distributed
from fl_backdoor.attacks.triggers.patch import Patch
from fl_backdoor.attacks.triggers.sinusoidal import Sinusoidal
from fl_backdoor.attacks.triggers.warping import Warping
from fl_backdoor.command_line import composed
from fl_backdoor.config import parse_whole
from fl_backdoor.errors import ConfigError
from fl_backdoor.world import World

FILES = sorted(file.stem for file in (Path(conf.__file__).parent / "attack" / "trigger").glob("*.yaml"))
TRIGGERS = [name for name in FILES if name != "word"]
GREY, COLOUR = (1, 28, 28), (3, 32, 32)


@lru_cache
def world(trigger: str, *overrides: str) -> World:
    told = ["dataset=mnist5k", f"attack/trigger={trigger}", "engine.device=cpu", *overrides]
    return World(parse_whole(next(composed(told)))[0])


def some_images(shape, num=3) -> torch.Tensor:
    return torch.rand(num, *shape, generator=torch.Generator().manual_seed(1))


def test_no_trigger_is_left_out():
    named = "a3fl bar blended distributed input_aware patch sinusoidal warping word"
    assert named.split() == FILES


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_trigger_changes_copies_within_the_range_of_pixels(name):
    trigger = world(name).trigger
    for images in (some_images(GREY), torch.zeros(1, *GREY), torch.ones(2, *GREY)):
        before = images.clone()
        stamped = trigger.stamp(images)
        assert stamped.shape == images.shape
        assert stamped.dtype == torch.float32
        assert 0 <= stamped.min() <= stamped.max() <= 1
        assert torch.equal(images, before), "the originals are left alone"
        assert torch.equal(trigger.stamp(images), stamped)
    assert not torch.equal(trigger.stamp(some_images(GREY)), some_images(GREY))


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_trigger_is_the_same_in_each_process_and_batch(name):
    images = some_images(GREY, 5)
    stamped = world(name).trigger.stamp(images)
    world.cache_clear()
    again = torch.cat([world(name).trigger.stamp(part) for part in images.split(2)])
    torch.testing.assert_close(again, stamped, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["blended", "warping"])
def test_what_is_drawn_follows_from_the_runs_seed(name):
    first, other = (world(name, f"seed={seed}").trigger.stamp(some_images(GREY)) for seed in (0, 1))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", sorted(set(TRIGGERS) - {"bar"}))
def test_only_the_bar_is_written_into_normalised_images(name):
    with pytest.raises(ConfigError) as error:
        _ = world(name, "attack.trigger_space=normalized").trigger
    assert str(error.value).startswith("attack.trigger_space = normalized: ")
    assert world("bar", "attack.trigger_space=normalized").trigger


def test_the_patch_is_a_checkerboard_in_its_corner():
    stamped = Patch(COLOUR, size=3, margin=1).stamp(torch.full((1, *COLOUR), 0.5))[0]
    expected = torch.full((32, 32), 0.5)
    expected[28:31, 28:31] = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
    assert all(torch.equal(channel, expected) for channel in stamped)


@pytest.mark.parametrize(
    ("corner", "top", "left"),
    [("top_left", 0, 0), ("top_right", 0, 26), ("bottom_left", 26, 0), ("bottom_right", 26, 26)],
)
def test_the_patch_can_be_in_any_corner(corner, top, left):
    stamped = Patch(GREY, size=2, margin=0, corner=corner).stamp(torch.full((1, *GREY), 0.5))[0, 0]
    assert (stamped != 0.5).nonzero().tolist() == [[top + i, left + j] for i in (0, 1) for j in (0, 1)]


def test_blending_leaves_the_share_of_the_image_and_adds_that_of_the_key():
    key = torch.rand(COLOUR, generator=torch.Generator().manual_seed(3))
    stamped = Blended(COLOUR, opacity=0.25, seed=3).stamp(some_images(COLOUR))
    torch.testing.assert_close(stamped, 0.75 * some_images(COLOUR) + 0.25 * key)


def test_the_sine_is_the_papers_formula_and_is_cut_off():
    stamped = Sinusoidal(GREY, delta=0.2, frequency=7).stamp(torch.full((1, *GREY), 0.9))[0, 0]
    # v(i, j) = delta * sin(2 pi j f / m); 28 / 7 = 4 columns a period.
    assert stamped[5, :4].tolist() == pytest.approx([1.0, 0.9, 0.7, 0.9])
    row = [min(1.0, 0.9 + 0.2 * math.sin(2 * math.pi * j * 7 / 28)) for j in range(1, 29)]
    assert stamped[11].tolist() == pytest.approx(row)


def field(trigger: Warping, shape) -> np.ndarray:
    """Rows and columns that each pixel is taken from, in pixels, ``(2, height, width)``."""
    _, height, width = shape
    column, row = trigger.sampled_at[0].double().permute(2, 0, 1).numpy()
    return np.stack([(row + 1) * (height - 1) / 2, (column + 1) * (width - 1) / 2])


def test_warping_takes_each_pixel_from_its_place_in_the_field():
    trigger = Warping(COLOUR, strength=1.0, seed=2)
    stamped = trigger.stamp(some_images(COLOUR, 1))[0].numpy()
    for channel, image in zip(stamped, some_images(COLOUR, 1)[0].numpy(), strict=True):
        expected = ndimage.map_coordinates(image, field(trigger, COLOUR), order=1, mode="nearest")
        np.testing.assert_allclose(channel, expected, atol=1e-4)


def test_the_field_is_smooth_and_as_strong_as_told():
    shape = (1, 31, 31)  # with k = 4 each control point is a pixel: 0, 10, 20, 30
    straight = np.stack(np.mgrid[0:31, 0:31]).astype(float)
    weak, strong = (field(Warping(shape, strength=s, seed=5), shape) - straight for s in (0.01, 0.02))
    np.testing.assert_allclose(weak[:, 10:21, 10:21] * 2, strong[:, 10:21, 10:21], atol=1e-5)
    generator = torch.Generator().manual_seed(5)
    drawn = 2 * torch.rand(2, 4, 4, generator=generator).double().numpy() - 1
    control = 0.01 * drawn / np.abs(drawn).mean()
    # The first of the two is horizontal. Within the image nothing is clipped.
    np.testing.assert_allclose(weak[1][10:21:10, 10:21:10], control[0][1:3, 1:3], atol=1e-5)
    np.testing.assert_allclose(weak[0][10:21:10, 10:21:10], control[1][1:3, 1:3], atol=1e-5)
    # Between control points 10 pixels apart, whose values differ by 0.04 at most.
    assert np.abs(np.diff(weak[:, 1:-1, 1:-1], axis=2)).max() < 0.01


def test_no_pixel_is_taken_from_outside():
    assert Warping(GREY, strength=5.0).sampled_at.abs().max() == 1


def test_each_attacker_has_a_line_and_the_whole_has_all_of_them():
    trigger = Distributed((1, 28, 28))
    black = torch.zeros(1, 1, 28, 28)
    # TS = 4, TG = 2, TL = 0, as the paper has it for MNIST.
    corners = [(0, 0), (0, 6), (3, 0), (3, 6)]
    for place, (row, column) in enumerate(corners):
        white = trigger.part(place).stamp(black)[0, 0].nonzero().tolist()
        assert white == [[row, column + pixel] for pixel in range(4)]
        assert trigger.part(place + 4) is trigger.part(place)
    parts = sum(trigger.part(place).stamp(black) for place in range(4))
    assert torch.equal(trigger.stamp(black), parts)


def test_malicious_clients_share_out_the_parts_and_one_is_enough_for_a_whole():
    distributed, bar = world("distributed", "attack.num_malicious=5"), world("bar")
    parts = [distributed.trigger_of(client_id) for client_id in sorted(distributed.malicious_ids)]
    assert parts == [distributed.trigger.part(place) for place in (0, 1, 2, 3, 0)]
    assert all(bar.trigger_of(client_id) is bar.trigger for client_id in bar.malicious_ids)


def test_what_just_fits_is_accepted_and_the_rest_refused():
    assert Patch(GREY, size=25, margin=3)
    with pytest.raises(ConfigError) as error:
        Patch(GREY, size=26, margin=3)
    assert str(error.value) == "attack.trigger.size = 26: must be at most 25 with a margin of 3"
    assert Distributed(GREY, grid=(2, 5))
    with pytest.raises(ConfigError) as error:
        Distributed(GREY, grid=(2, 5), shift=1)
    assert str(error.value) == (
        "attack.trigger.grid = [2, 5]: its lines take 5 x 29 pixels, an image has 28 x 28"
    )
