"""Weights from files of others: they fit the model tensor by tensor, or one line says why not."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

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
