"""What holds for every trigger of images, and what each of them does, worked out by hand."""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage

import conf
from fl_backdoor.attacks.triggers.a3fl import A3FL
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.attacks.triggers.blended import Blended
from fl_backdoor.attacks.triggers.distributed import Distributed
from fl_backdoor.attacks.triggers.drawing import Drawing
from fl_backdoor.attacks.triggers.input_aware import InputAware
from fl_backdoor.attacks.triggers.patch import Patch
from fl_backdoor.attacks.triggers.sinusoidal import Sinusoidal
from fl_backdoor.attacks.triggers.warping import Warping
from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.client_app import build_client
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.testing.triggers import check_trigger, some_images

FOLDER = Path(conf.__file__).parent / "attack" / "trigger"
FILES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
TRIGGERS = [name for name in FILES if name != "word"]
TARGETS = {
    name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["_target_"]
    for name in TRIGGERS
}
GREY, COLOUR = (1, 28, 28), (3, 32, 32)


@lru_cache
def context(trigger: str, *overrides: str) -> ExperimentContext:
    chosen = ["dataset=mnist5k", f"attack/trigger={trigger}", "engine.device=cpu", *overrides]
    return ExperimentContext(parse_whole(next(composed(chosen)))[0])


def test_no_trigger_is_left_out():
    named = "a3fl bar blended distributed drawing input_aware patch sinusoidal warping word"
    assert named.split() == FILES


@pytest.mark.parametrize("name", TRIGGERS)
def test_every_trigger_keeps_the_contract(name):
    def build():
        context.cache_clear()
        return context(name).trigger

    check_trigger(build, some_images(GREY, 5))


@pytest.mark.parametrize("name", ["blended", "warping"])
def test_what_is_drawn_follows_from_the_runs_seed(name):
    first, other = (context(name, f"seed={seed}").trigger.stamp(some_images(GREY)) for seed in (0, 1))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", sorted(set(TRIGGERS) - {"bar"}))
def test_only_the_bar_is_written_into_normalised_images(name):
    with pytest.raises(ConfigError) as error:
        _ = context(name, "attack.trigger_space=normalized").trigger
    assert str(error.value).startswith("attack.trigger_space = normalized: ")
    assert context("bar", "attack.trigger_space=normalized").trigger


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
    weak, strong = (field(Warping(shape, strength=s, seed=5), shape) - straight for s in (0.02, 0.04))
    np.testing.assert_allclose(weak[:, 10:21, 10:21] * 2, strong[:, 10:21, 10:21], atol=1e-5)
    generator = torch.Generator().manual_seed(5)
    drawn = 2 * torch.rand(2, 4, 4, generator=generator).double().numpy() - 1
    control = 0.02 * drawn / np.abs(drawn).mean()
    # The authors' code divides by the height, 31, where the image, 30 pixels from first to last, is 2 long.
    control *= 30 / 2 / 31
    # The first of the two is horizontal. Within the image nothing is clipped.
    np.testing.assert_allclose(weak[1][10:21:10, 10:21:10], control[0][1:3, 1:3], atol=1e-5)
    np.testing.assert_allclose(weak[0][10:21:10, 10:21:10], control[1][1:3, 1:3], atol=1e-5)
    # Between control points 10 pixels apart, whose values differ by 0.04 at most.
    assert np.abs(np.diff(weak[:, 1:-1, 1:-1], axis=2)).max() < 0.01


def test_pixels_move_as_far_as_with_the_authors_code():
    """Its formula in NumPy and SciPy, at k = 4, s = 0.5 on 32 x 32: .18 pixels on average."""
    straight = np.stack(np.mgrid[0:32, 0:32])
    places = np.stack(np.meshgrid(np.linspace(0, 3, 32), np.linspace(0, 3, 32), indexing="ij"))
    ours, theirs = [], []
    for seed in range(100):
        ours.append(np.abs(field(Warping(COLOUR, seed=seed), COLOUR) - straight).mean())
        drawn = np.random.default_rng(seed).uniform(-1, 1, (2, 4, 4))
        drawn /= np.abs(drawn).mean()
        noise = np.stack([ndimage.map_coordinates(one, places, order=3, mode="nearest") for one in drawn])
        moved = np.clip(np.linspace(-1, 1, 32)[straight] + 0.5 * noise / 32, -1, 1)
        theirs.append(np.abs((moved + 1) * 31 / 2 - straight).mean())
    assert ours[0] == pytest.approx(0.167, abs=0.001)
    # The standard deviation of a draw is .016, of the mean of 100 draws .0016.
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.008)
    assert np.mean(theirs) == pytest.approx(0.182, abs=0.006)


def test_no_pixel_is_taken_from_outside():
    assert Warping(GREY, strength=5.0).sampled_at.abs().max() == 1


@pytest.mark.parametrize(
    ("pixels", "thickness", "size", "tops", "lefts"),
    [
        # The poison patterns in the authors' code: MNIST, CIFAR-10, Tiny ImageNet.
        (28, 1, 4, (0, 3), (0, 6)),
        (32, 1, 6, (0, 4), (0, 9)),
        (64, 2, 10, (0, 4), (0, 12)),
        # 3.5 times as large as the last.
        (224, 7, 35, (0, 14), (0, 42)),
    ],
)
def test_each_of_four_attackers_has_the_line_of_the_authors_code(pixels, thickness, size, tops, lefts):
    trigger = Distributed((3, pixels, pixels))
    black = torch.zeros(1, 3, pixels, pixels)
    corners = [(top, left) for top in tops for left in lefts]
    for place, (top, left) in enumerate(corners):
        expected = torch.zeros_like(black)
        expected[:, :, top : top + thickness, left : left + size] = 1
        assert torch.equal(trigger.part(place, 4).stamp(black), expected)


@pytest.mark.parametrize("pixels", [28, 32, 64, 224])
@pytest.mark.parametrize("num_malicious", [1, 2, 3, 4, 5, 9])
def test_the_attackers_stamp_together_what_is_tested(pixels, num_malicious):
    trigger = Distributed((1, pixels, pixels))
    black = torch.zeros(1, 1, pixels, pixels)
    parts = [trigger.part(place, num_malicious) for place in range(num_malicious)]
    stamped = torch.stack([part.stamp(black) for part in parts])
    assert torch.equal(stamped.amax(dim=0), trigger.stamp(black))
    assert all(trigger.part(place, num_malicious) is part for place, part in enumerate(parts))
    if num_malicious <= 4:
        assert stamped.sum(dim=0).max() == 1, "no line is anybody else's"
    else:
        assert parts[4] is parts[0]


def test_malicious_clients_share_out_the_parts_and_one_is_enough_for_a_whole():
    distributed, bar = context("distributed", "attack.num_malicious=5"), context("bar")
    parts = [build_client(distributed, client_id).trigger for client_id in sorted(distributed.malicious_ids)]
    assert parts == [distributed.trigger.part(rank, 5) for rank in (0, 1, 2, 3, 0)]
    assert len(context("distributed").malicious_ids) == 3
    first = build_client(context("distributed"), min(context("distributed").malicious_ids)).trigger
    assert first.opacity.nonzero().tolist() == [
        [row, row * 2 + column] for row in (0, 3) for column in range(4)
    ]
    assert all(build_client(bar, client_id).trigger is bar.trigger for client_id in bar.malicious_ids)


def test_a_drawing_is_what_its_lines_say():
    grey = torch.full((1, *COLOUR), 0.5)
    stamped = Drawing(COLOUR, lines=("x.", "ox"), top=30, left=3, color=(1.0, 0.25, 0.0)).stamp(grey)[0]
    assert [stamped[:, row, column].tolist() for row, column in ((30, 3), (31, 4))] == [[1, 0.25, 0]] * 2
    assert stamped[:, 31, 3].tolist() == [0, 0, 0]
    assert (stamped != 0.5).any(dim=0).sum() == 3
    assert Drawing(GREY, lines=("x",), top=0, left=0).stamp(torch.zeros(1, *GREY)).sum() == 1


def test_the_default_drawing_is_the_plus_of_lockdowns_code():
    changed = Drawing(COLOUR).stamp(torch.full((1, *COLOUR), 0.5))[0]
    found = {tuple(pixel) for pixel in (changed != 0.5).any(dim=0).nonzero().tolist()}
    down, across = {(row, 5) for row in range(5, 12)}, {(8, column) for column in range(2, 9)}
    assert found == down | across
    assert all(changed[:, row, column].tolist() == [1, 1, 0] for row, column in found)


def test_defaults_are_as_strong_as_in_the_papers():
    grey = torch.full((1, *COLOUR), 0.5)
    # 20 of 255, and a sine of six periods.
    signal = (Sinusoidal(COLOUR).stamp(grey) - grey)[0, 0, 0]
    assert signal.abs().max() == pytest.approx(20 / 255, abs=1e-3)
    assert torch.fft.rfft(signal).abs().argmax() == 6
    # A fifth of a uniform key: it is 1/4 away from grey on average, 1/20 after blending.
    assert (Blended(COLOUR).stamp(grey) - grey).abs().mean() == pytest.approx(0.05, abs=0.002)
    # The authors' mask_density.
    _, mask = InputAware(COLOUR).drawn(grey)
    assert mask.mean() == pytest.approx(0.032, abs=1e-4)
    # 5 x 5 grey pixels at (2, 2).
    square = (A3FL(COLOUR).stamp(torch.zeros(1, *COLOUR))[0] != 0).all(dim=0).nonzero().tolist()
    assert square == [[row, column] for row in range(2, 7) for column in range(2, 7)]
    assert A3FL(COLOUR).pattern.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("trigger", "settings", "message"),
    [
        ("bar", ["color=[255,0,0]"], "color.0 = 255: must be less than or equal to 1"),
        ("bar", ["color=[-0.1,0,0]"], "color.0 = -0.1: must be greater than or equal to 0"),
        ("bar", ["color=[.nan,0,0]"], "color.0 = nan: must be a finite number"),
        ("bar", ["color=[1,0]"], "color = [1.0, 0.0]: must have 1 values"),
        ("bar", ["color=[1,0,0,0]"], "color = [1.0, 0.0, 0.0, 0.0]: must have 1 values"),
        ("bar", ["color=[]"], "color = []: must have 1 values"),
        ("bar", ["rows=[2,28]"], "rows = [2, 28]: must be ordered and within 0 … 27"),
        ("bar", ["rows=[-1,3]"], "rows.0 = -1: must be greater than or equal to 0"),
        ("bar", ["columns=[5,3]"], "columns = [5, 3]: must be ordered and within 0 … 27"),
        ("patch", ["size=28"], "size = 28: must be at most 27 with a margin of 1"),
        ("patch", ["size=0"], "size = 0: must be greater than or equal to 1"),
        ("patch", ["margin=28"], "margin = 28: must be less than 28, the image's size"),
        ("patch", ["corner=middle"], "corner = middle: must be 'top_left', 'top_right', 'bottom_left' or"),
        ("blended", ["opacity=1.01"], "opacity = 1.01: must be less than or equal to 1"),
        ("blended", ["opacity=0"], "opacity = 0: must be greater than 0"),
        ("blended", [f"seed={2**64}"], f"seed = {2**64}: must be less than {2**64}"),
        ("sinusoidal", ["delta=20"], "delta = 20: must be less than or equal to 1"),
        ("sinusoidal", ["delta=0"], "delta = 0: must be greater than 0"),
        ("sinusoidal", ["frequency=28"], "frequency = 28.0: must be less than 14, half the image's columns"),
        ("sinusoidal", ["frequency=14"], "frequency = 14.0: must be less than 14, half the image's columns"),
        ("sinusoidal", ["frequency=-1"], "frequency = -1: must be greater than 0"),
        ("warping", ["control_points=29"], "control_points = 29: must be at most 28"),
        ("warping", ["control_points=0"], "control_points = 0: must be greater than or equal to 1"),
        ("warping", ["strength=29"], "strength = 29.0: must be at most 28, the image's size"),
        ("warping", ["strength=.inf"], "strength = inf: must be a finite number"),
        ("warping", ["seed=-1"], "seed = -1: must be greater than or equal to 0"),
        (
            "distributed",
            ["grid=[2,5]", "shift=1"],
            "grid = [2, 5]: its lines take 5 x 29 pixels, an image has 28",
        ),
        ("distributed", ["grid=[0,2]"], "grid.0 = 0: must be greater than or equal to 1"),
        ("distributed", ["thickness=29"], "thickness = 29: must be at most 28"),
        ("distributed", ["size=29"], "size = 29: must be at most 28"),
        ("distributed", ["gap=29"], "gap = 29: must be at most 28"),
        ("distributed", ["shift=28"], "shift = 28: must be at most 27"),
        (
            "drawing",
            ["lines=[xx,x]"],
            "lines = ['xx', 'x']: must be lines of equal length of x, o and ., with",
        ),
        ("drawing", ["lines=[x-]"], "lines = ['x-']: must be lines of equal length"),
        ("drawing", ["lines=['..']"], "lines = ['..']: must be lines of equal length"),
        ("drawing", ["lines=[]"], "lines = []: must be lines of equal length"),
        ("drawing", ["lines=['','']"], "lines = ['', '']: must be lines of equal length"),
        ("drawing", ["top=22"], "top = 22: leaves no room for 7 pixels: an image has 28"),
        ("drawing", ["left=22"], "left = 22: leaves no room for 7 pixels: an image has 28"),
        ("drawing", ["color=[1,1]"], "color = [1.0, 1.0]: must have 1 values"),
        ("input_aware", ["density=1.5"], "density = 1.5: must be less than or equal to 1"),
        ("input_aware", ["steps=0"], "steps = 0: must be greater than or equal to 1"),
        ("input_aware", ["learning_rate=0"], "learning_rate = 0: must be greater than 0"),
        ("input_aware", ["diversity=-1"], "diversity = -1: must be greater than or equal to 0"),
        ("input_aware", [f"seed={2**64}"], f"seed = {2**64}: must be less than {2**64}"),
        ("a3fl", ["size=27"], "size = 27: must be at most 26 with a margin of 2"),
        ("a3fl", ["margin=40"], "margin = 40: must be less than 28, the image's size"),
        ("a3fl", ["steps=0"], "steps = 0: must be greater than or equal to 1"),
        ("a3fl", ["step_size=1.5"], "step_size = 1.5: must be less than or equal to 1"),
        ("a3fl", ["unlearning_rate=0"], "unlearning_rate = 0: must be greater than 0"),
        ("a3fl", ["balance=-1"], "balance = -1: must be greater than or equal to 0"),
    ],
)
def test_a_setting_that_means_nothing_is_one_line(trigger, settings, message):
    plain = dict(setting.split("=", 1) for setting in settings)
    spec = {"_target_": TARGETS[trigger], **{name: yaml.safe_load(value) for name, value in plain.items()}}
    with pytest.raises(ConfigError) as error:
        plugins.build(spec, "attack.trigger", image_shape=GREY)
    assert str(error.value).startswith(f"attack.trigger.{message}")
    assert "\n" not in str(error.value)


def test_what_just_fits_is_accepted():
    assert Patch(GREY, size=25, margin=3)
    assert Distributed(GREY, grid=(2, 5))
    assert Bar(COLOUR, color=(0.0, 1.0, 1.0))
    assert Drawing(GREY, top=21, left=21, color=(1.0,))
    assert Warping(GREY, control_points=1, strength=28)
    assert Sinusoidal(GREY, frequency=13.5)


def test_the_whole_command_line_refuses_it_before_the_run():
    with pytest.raises(ConfigError) as error:
        check(parse_whole(next(composed(["dataset=mnist5k", "attack.trigger.color=[255,0,0]"])))[0])
    assert str(error.value) == "attack.trigger.color.0 = 255: must be less than or equal to 1"
