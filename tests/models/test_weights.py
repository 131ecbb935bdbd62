"""Weights from files of others: they fit the model tensor by tensor, or one line says why not."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import squeezenet1_1

from fl_backdoor.models.pretrained import torchvision_weights
from fl_backdoor.models.weights import UnfitWeights, put, read


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def state():
    """Every tensor of the model, each number another one."""
    numbers = iter(range(100))
    return {
        name: torch.tensor([next(numbers) for _ in range(tensor.numel())], dtype=tensor.dtype).reshape(
            tensor.shape
        )
        for name, tensor in model().state_dict().items()
    }


def as_safetensors(folder, tensors):
    save_file(tensors, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def as_state_dict(folder, tensors):
    torch.save(tensors, folder / "weights.pt")
    return folder / "weights.pt"


def as_checkpoint(folder, tensors):
    torch.save({"epoch": 200, "lr": 0.1, "state_dict": tensors}, folder / "weights.pt.tar")
    return folder / "weights.pt.tar"


@pytest.mark.parametrize("written", [as_safetensors, as_state_dict, as_checkpoint])
def test_every_tensor_is_taken_by_its_name(written, tmp_path):
    backwards = dict(reversed(state().items()))
    filled = model()
    assert put(filled, read(written(tmp_path, backwards)), strict=True) == []
    for name, tensor in filled.state_dict().items():
        assert torch.equal(tensor, state()[name]), name


def test_half_precision_becomes_the_models_own(tmp_path):
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state().items()
    }
    filled = model()
    put(filled, read(as_safetensors(tmp_path, halves)), strict=True)
    assert filled[0].weight.dtype == torch.float32
    assert filled[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]]


def other_names():
    found = state()
    found["head.weight"] = found.pop("0.weight")
    found["0.bias"] = torch.zeros(4)
    return found


def test_what_does_not_fit_is_named_in_one_line_and_nothing_is_changed():
    filled = model()
    before = {name: tensor.clone() for name, tensor in filled.state_dict().items()}
    with pytest.raises(UnfitWeights) as error:
        put(filled, other_names(), strict=True)
    assert str(error.value) == (
        "lacks 0.weight; has what the model has not: head.weight; "
        "of another kind: 0.bias is float32 (4,), not float32 (3,)"
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in filled.state_dict().items())


def test_of_many_names_the_first_are_told():
    with pytest.raises(UnfitWeights) as error:
        put(model(), {"0.weight": state()["0.weight"]}, strict=True)
    assert str(error.value) == "lacks 0.bias, 1.weight, 1.bias, 1.running_mean and 2 more"


def test_what_does_not_fit_can_be_left_as_it_is():
    filled = model()
    drawn = filled[0].weight.clone(), filled[0].bias.clone()
    assert put(filled, other_names(), strict=False) == ["0.weight", "0.bias"]
    assert torch.equal(filled[0].weight, drawn[0])
    assert torch.equal(filled[0].bias, drawn[1])
    assert torch.equal(filled[1].running_var, state()["1.running_var"])
    with pytest.raises(UnfitWeights, match=r"^no tensor fits the model; lacks 0\.weight"):
        put(filled, {"head.weight": torch.ones(2)}, strict=False)


def test_a_tied_weight_may_go_by_one_of_its_names():
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    assert put(tied, {"0.weight": torch.eye(2)}, strict=True) == []
    assert torch.equal(tied[1].weight, torch.eye(2))
    both = {"0.weight": torch.zeros(2, 2), "1.weight": torch.zeros(2, 2)}
    assert put(tied, both, strict=True) == []


def test_numbers_must_be_finite():
    found = state()
    found["1.running_mean"][1] = torch.nan
    with pytest.raises(UnfitWeights, match=r"^1\.running_mean holds NaN or Inf$"):
        put(model(), found, strict=True)


class Code:
    """What an attacker puts into a pickle."""

    def __reduce__(self):
        return eval, ("print('run')",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.pt",
            lambda file: torch.save({"weight": Code()}, file),
            "is no state dict: torch.load(weights_only",
        ),
        ("a.pt", lambda file: torch.save(torch.ones(2), file), "holds something else than tensors by name"),
        ("a.pt", lambda file: torch.save({"epoch": 3}, file), "holds something else than tensors by name"),
        ("a.pt", lambda file: file.write_bytes(b""), "is neither .safetensors nor a state dict (EOFError: "),
        (
            "a.safetensors",
            lambda file: file.write_bytes(b"\xff" * 99),
            "is no safetensors file (SafetensorErr",
        ),
        ("a.safetensors", lambda file: None, "cannot be read: No such file or directory"),
        ("a.safetensors", lambda file: file.mkdir(), "cannot be read: Is a directory"),
    ],
)
def test_other_files_are_refused_in_one_line_and_no_code_runs(tmp_path, name, content, message, capsys):
    content(tmp_path / name)
    with pytest.raises(UnfitWeights) as error:
        read(tmp_path / name)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_a_file_that_has_changed_is_refused(tmp_path):
    file = as_safetensors(tmp_path, state())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read(file, digest).keys() == state().keys()
    as_safetensors(tmp_path, {"0.weight": torch.ones(3, 2)})
    with pytest.raises(UnfitWeights, match=r"^has changed since the run was asked for$"):
        read(file, digest)


SMALLEST, ITS_FILE = "SqueezeNet1_1_Weights.IMAGENET1K_V1", "squeezenet1_1-b8a52dc0.pth"
ITS_URL = f"https://download.pytorch.org/models/{ITS_FILE}"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder for what torchvision publishes, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_published_weights_are_taken_from_disk_and_their_last_layer_is_left(hub):
    published, ours = squeezenet1_1(), squeezenet1_1(num_classes=10)
    drawn = ours.classifier[1].weight.clone()
    torch.save(published.state_dict(), hub / ITS_FILE)
    found, head = torchvision_weights(SMALLEST)
    assert put(ours, found, strict=True, head=head) == ["classifier.1.weight", "classifier.1.bias"]
    assert torch.equal(ours.features[0].weight, published.features[0].weight)
    assert torch.equal(ours.classifier[1].weight, drawn)
    assert put(squeezenet1_1(), found, strict=True, head=head) == [], "it is taken where it fits"
    with pytest.raises(UnfitWeights, match=r"^lacks 0\.weight"):
        put(model(), found, strict=True, head=head)


@pytest.mark.parametrize("name", ["SqueezeNet1_1", "SqueezeNet1_1_Weights.NONE", "Nothing_Weights.DEFAULT"])
def test_weights_that_nobody_publishes_are_one_line(name):
    with pytest.raises(UnfitWeights) as error:
        torchvision_weights(name)
    example = "ResNet18_Weights.IMAGENET1K_V1"
    assert str(error.value) == f"torchvision has no such weights; a name is written like {example}"


def test_weights_that_cannot_be_had_are_one_line(hub):
    with pytest.raises(UnfitWeights) as error:
        torchvision_weights(SMALLEST)
    reason = f"{ITS_FILE} is not in {hub}, and cannot be downloaded from {ITS_URL} ("
    assert str(error.value).startswith(reason)
    (hub / ITS_FILE).write_bytes(b"<html>not found</html>")
    with pytest.raises(UnfitWeights) as error:
        torchvision_weights(SMALLEST)
    assert str(error.value).startswith(f"{hub}/{ITS_FILE} is not what {ITS_URL} is (")
