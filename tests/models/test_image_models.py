"""The papers' models: how many parameters they have, that they train, and that they go on bit for bit."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load, save
from torch import nn

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.samples import images_on_device
from fl_backdoor.models.factory import build_model, layout_of, load_arrays, state_arrays
from fl_backdoor.training.trainer import Trainer, predict

CHOICES = Path(__file__).parents[2] / "conf" / "model"
CPU = torch.device("cpu")
COLOUR, GREY = (3, 32, 32), (1, 28, 28)

EIGHT_CONVOLUTIONS = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512) + (
    64 + 128 + 2 * 256 + 4 * 512
)
VIT_LAYER = 2 * 2 * 192 + (192 + 1) * 3 * 192 + (192 + 1) * 192 + (192 + 1) * 768 + (768 + 1) * 192

PARAMETERS = {
    # convolutions without bias, two numbers a channel for BatchNorm, a dense layer without bias
    "resnet9": 9 * (3 * 64 + 64 * 128 + 2 * 128 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512)
    + 2 * (64 + 3 * 128 + 256 + 3 * 512)
    + 512 * 10,
    "vgg9": EIGHT_CONVOLUTIONS + 513 * 10,
    "vgg11": EIGHT_CONVOLUTIONS + 2 * (64 + 128 + 2 * 256 + 4 * 512) + 2 * 513 * 512 + 513 * 10,
    # torchvision's 11,689,512, with 10 classes for 1,000 and a stem of 3x3 for 7x7
    "resnet18_group_norm": 11_689_512 - 513 * 990 - 64 * 3 * (49 - 9),
    # two convolutions a block; from the second stage on the first one widens, and a 1x1 one beside it; five
    # norms a stage, the stem's among them; the head
    "resnet18_narrow": 9 * (3 * 32 + 4 * 32**2 + sum(n * 2 * n + 3 * (2 * n) ** 2 for n in (32, 64, 128)))
    + sum(2 * n * n for n in (32, 64, 128))
    + 2 * 5 * (32 + 64 + 128 + 256)
    + 257 * 10,
    # torchvision's 2,542,856, with 10 classes for 1,000
    "mobilenet_v3_small": 2_542_856 - 1025 * 990,
    # patches, class token and 65 places; layers; the last norm and the head
    "vit": (48 + 1) * 192 + 192 + 65 * 192 + 6 * VIT_LAYER + 2 * 192 + 193 * 10,
}
FEWER_WHEN_GREY = {
    "resnet9": 9 * 2 * 64,
    "vgg9": 9 * 2 * 64,
    "vgg11": 9 * 2 * 64,
    "resnet18_group_norm": 9 * 2 * 64,
    "resnet18_narrow": 9 * 2 * 32,
    "mobilenet_v3_small": 9 * 2 * 16,
    "vit": 16 * 2 * 192 + (65 - 50) * 192,  # 49 patches and the class token
}
NAMES = sorted(PARAMETERS)


@cache
def spec(name: str) -> dict[str, object]:
    return yaml.safe_load((CHOICES / f"{name}.yaml").read_text(encoding="utf-8"))


def built(name: str, image_shape: tuple[int, int, int] = COLOUR, seed: int = 0, **settings: object):
    return build_model({**spec(name), **settings}, {"image_shape": image_shape}, 10, seed)


@cache
def samples():
    pixels = np.random.default_rng(0).integers(0, 256, (5, *COLOUR), dtype=np.uint8)
    return images_on_device(pixels, np.arange(5), (0.5,) * 3, (0.25,) * 3, CPU)


def step(model: nn.Module, seed: int) -> None:
    """One step of a client, whose seed is that of what is left out too."""
    torch.manual_seed(seed)
    once = ClientConfig(0.01, 0.9, 0.0, 4, 1, local_steps=1)
    result = Trainer(model, once).train(samples(), torch.Generator().manual_seed(seed))
    assert np.isfinite(result.loss)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_the_parameters_of_its_paper_and_goes_on_bit_for_bit(name):
    model, other = built(name), built(name, seed=1)
    assert layout_of(model).num_params == PARAMETERS[name]
    fresh = state_arrays(model)
    step(model, 1)
    trained = state_arrays(model)
    assert any(not np.array_equal(a, b) for a, b in zip(fresh, trained, strict=True))
    read = load(save({str(place): array for place, array in enumerate(trained)}))
    load_arrays(other, [read[str(place)] for place in range(len(trained))])
    for goes_on in (model, other):
        torch.rand(7)  # what happens elsewhere in a worker
        step(goes_on, 2)
    for array, same in zip(state_arrays(model), state_arrays(other), strict=True):
        np.testing.assert_array_equal(array, same)
    first, again = (predict(one, samples(), 4) for one in (model, other))
    assert first.loss == again.loss
    np.testing.assert_array_equal(first.classes, again.classes)


@pytest.mark.parametrize("name", NAMES)
def test_grey_images_of_28_pixels_are_as_good(name):
    model = built(name, GREY)
    assert layout_of(model).num_params == PARAMETERS[name] - FEWER_WHEN_GREY[name]
    with torch.inference_mode():
        logits = model.eval()(torch.zeros(1, *GREY))
    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


def test_published_numbers_of_parameters():
    # Page's ResNet-9; torchvision-style VGG-11 with BatchNorm and 512 units for CIFAR-10; DeiT-Ti's layer
    assert PARAMETERS["resnet9"] == 6_573_120
    assert PARAMETERS["vgg9"] == 9_225_610
    assert PARAMETERS["vgg11"] == 9_756_426
    assert PARAMETERS["mobilenet_v3_small"] == 1_528_106
    assert PARAMETERS["vit"] == 2_693_578


def test_vgg_without_batch_norm_is_the_papers():
    assert layout_of(built("vgg11", batch_norm=False)).num_params == 9_750_922


def test_group_norm_leaves_no_buffers_and_says_which_groups_it_can_have():
    assert all(tensor.is_parameter for tensor in layout_of(built("resnet18_group_norm")).tensors)
    with pytest.raises(Exception, match="num_channels"):
        built("resnet18_group_norm", groups=3)


def test_small_images_keep_their_resolution_in_mobilenets_first_layers():
    sizes = []
    model = built("mobilenet_v3_small").eval()
    model.features[-1].register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape[2:]))
    with torch.inference_mode():
        model(torch.zeros(1, *COLOUR))
    assert sizes == [(4, 4)]


def test_resnet9_without_running_statistics_takes_each_batch_by_itself():
    model = built("resnet9", track_running_stats=False).eval()
    assert layout_of(model).num_params == PARAMETERS["resnet9"]
    assert not list(model.buffers())
    images = torch.randn(2, *COLOUR, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert not torch.allclose(model(images)[:1], model(images[:1]), rtol=1e-3)


@pytest.mark.parametrize(
    ("image_shape", "settings", "reason"),
    [
        ((3, 30, 30), {}, "images must be square and a multiple of 4 pixels high, not 30x30"),
        ((3, 32, 28), {}, "images must be square and a multiple of 4 pixels high, not 32x28"),
        (COLOUR, {"heads": 5}, "dimension must be a multiple of the 5 heads, not 192"),
    ],
)
def test_what_a_vit_cannot_do_is_one_line(image_shape, settings, reason):
    with pytest.raises(Exception, match=reason) as error:
        built("vit", image_shape, **settings)
    assert "\n" not in str(error.value)
