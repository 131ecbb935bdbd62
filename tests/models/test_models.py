import numpy as np
import pytest
import torch

from fl_backdoor.models.factory import build_model, layout_of, load_arrays, state_arrays

CNN = {"_target_": "fl_backdoor.models.cnn.CNN"}
RESNET = {"_target_": "fl_backdoor.models.resnet18.resnet18"}
RESNET_IMAGENET = {"_target_": "fl_backdoor.models.resnet18.resnet18_imagenet"}


@pytest.mark.parametrize(
    ("spec", "image_shape", "parameters"),
    [
        # 896 + 18,496 + 36,928 in convolutions, 262,400 + 2,570 in dense layers
        (CNN, (3, 32, 32), 321_290),
        # one channel: 320 for 896; 3x3 pixels are left of 28x28: 64 * 9 * 256 + 256 = 147,712 for 262,400
        (CNN, (1, 28, 28), 206_026),
        # torchvision's 11,689,512 with 10 classes for 1,000: 990 * 513 fewer
        (RESNET_IMAGENET, (3, 32, 32), 11_181_642),
        # a stem of 64 * 3 * 9 for 64 * 3 * 49
        (RESNET, (3, 32, 32), 11_173_962),
        (RESNET, (1, 28, 28), 11_172_810),
    ],
)
def test_parameters_are_counted_by_hand_and_logits_have_a_column_a_class(spec, image_shape, parameters):
    model = build_model(spec, {"image_shape": image_shape}, 10, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert layout_of(model).num_params == parameters
    model.eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, *image_shape)).shape == (2, 10)


def test_a_small_images_resnet_keeps_their_resolution():
    model = build_model(RESNET, {"image_shape": (3, 32, 32)}, 10, seed=0)
    shapes = []
    model.layer1.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
    model.eval()
    with torch.inference_mode():
        model(torch.zeros(1, 3, 32, 32))
    assert shapes == [(1, 64, 32, 32)]


def test_weights_follow_from_the_seed_alone():
    first = state_arrays(build_model(CNN, {"image_shape": (1, 28, 28)}, 10, seed=1))
    torch.rand(10)
    again = state_arrays(build_model(CNN, {"image_shape": (1, 28, 28)}, 10, seed=1))
    other = state_arrays(build_model(CNN, {"image_shape": (1, 28, 28)}, 10, seed=2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_building_a_model_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    build_model(CNN, {"image_shape": (1, 28, 28)}, 10, seed=1)
    assert torch.equal(torch.rand(4), expected)


def test_a_layout_tells_parameters_from_buffers():
    layout = layout_of(build_model(RESNET, {"image_shape": (3, 32, 32)}, 10, seed=0))
    kinds = {tensor.name: (tensor.is_parameter, tensor.dtype) for tensor in layout.tensors}
    assert kinds["bn1.weight"] == (True, "float32")
    assert kinds["bn1.running_var"] == (False, "float32")
    assert kinds["bn1.num_batches_tracked"] == (False, "int64")


def test_arrays_go_into_a_model_and_out_again():
    source = build_model(RESNET, {"image_shape": (1, 28, 28)}, 10, seed=1)
    target = build_model(RESNET, {"image_shape": (1, 28, 28)}, 10, seed=2)
    arrays = state_arrays(source)
    arrays[-1] = arrays[-1] + 1
    load_arrays(target, arrays)
    assert all(np.array_equal(a, b) for a, b in zip(state_arrays(target), arrays, strict=True))
    assert all(array.flags.c_contiguous for array in arrays)
    arrays[0][:] = 7
    assert not (state_arrays(target)[0] == 7).any(), "the model holds a copy"
