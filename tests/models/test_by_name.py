"""Networks of torchvision and timm by name; their numbers of parameters are those that the two publish."""

import re
import sys

import pytest
import torch
from torchvision.models import ResNet18_Weights, ShuffleNet_V2_X0_5_Weights, SqueezeNet1_1_Weights

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.models.factory import build_model, layout_of

COLOUR, GREY = (3, 32, 32), (1, 28, 28)


def built(package: str, name: str | None, image_shape: tuple[int, int, int] = COLOUR, **settings: object):
    spec = {"_target_": f"fl_backdoor.models.by_name.{package}_model", "name": name, **settings}
    return build_model(spec, {"image_shape": image_shape}, 10, seed=0)


def assert_works(model: torch.nn.Module, image_shape: tuple[int, int, int], num_params: int) -> None:
    assert layout_of(model).num_params == num_params
    assert model(torch.zeros(2, *image_shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "published", "head"),
    [
        ("resnet18", ResNet18_Weights, 513),
        ("shufflenet_v2_x0_5", ShuffleNet_V2_X0_5_Weights, 1025),
        ("squeezenet1_1", SqueezeNet1_1_Weights, 513),  # its head is a convolution
    ],
)
def test_a_head_of_torchvisions_is_replaced(name, published, head):
    assert_works(built("torchvision", name), COLOUR, published.DEFAULT.meta["num_params"] - 990 * head)


def test_torchvisions_first_convolution_takes_grey_images():
    published = ShuffleNet_V2_X0_5_Weights.DEFAULT.meta["num_params"]
    model = built("torchvision", "shufflenet_v2_x0_5", GREY)
    assert_works(model, GREY, published - 990 * 1025 - 2 * 9 * 24)
    assert (model.conv1[0].stride, model.conv1[0].padding, model.conv1[0].bias) == ((2, 2), (1, 1), None)


def test_keywords_reach_torchvision():
    model = built("torchvision", "squeezenet1_1", keywords={"dropout": 0.25})
    assert model.classifier[0].p == 0.25


@pytest.mark.parametrize(
    ("package", "name", "settings", "reason"),
    [
        ("torchvision", None, {}, "model.name = None: must be a valid string"),
        (
            "torchvision",
            "resnet19",
            {},
            "model.name = resnet19: no image classifier of torchvision; did you mean resnet18 or ",
        ),
        ("torchvision", "fcn_resnet50", {}, "model.name = fcn_resnet50: no image classifier of torchvision"),
        ("torchvision", "squeezenet1_1", {"keywords": {"depth": 3}}, r".*cannot be built \(.*depth"),
        ("torchvision", "squeezenet1_1", {"keywords": {"weights": "DEFAULT"}}, ".*multiple values .*weights"),
        (
            "timm",
            "hf-hub:timm/resnet18",
            {},
            "model.name = hf-hub:timm/resnet18: no image classifier of timm",
        ),
        ("timm", "test_resnet", {"keywords": {"pretrained": True}}, ".*multiple values .*pretrained"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_nothing_is_downloaded(package, name, settings, reason):
    pytest.importorskip(package)
    with pytest.raises(ConfigError) as error:
        built(package, name, **settings)
    assert re.match(reason, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "image_shape"), [("test_vit", (1, 32, 32)), ("test_resnet", COLOUR)])
def test_timm_builds_for_the_images_and_classes_of_the_data(name, image_shape):
    timm = pytest.importorskip("timm")
    model = built("timm", name, image_shape)
    again = timm.create_model(name, num_classes=10, in_chans=image_shape[0])
    fewer = 0
    if name == "test_vit":  # patches of 16x16: places for 160x160 pixels, and for those of the data
        fewer = (100 - (image_shape[1] // 16) ** 2) * 64
    assert_works(model, image_shape, layout_of(again).num_params - fewer)


def test_a_machine_without_timm_is_told_of_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError) as error:
        built("timm", "test_resnet")
    assert str(error.value) == (
        'model = timm: needs timm, which is not installed: pip install "fl-backdoor[timm]"'
    )
