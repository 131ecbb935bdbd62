"""Tensors of a model that are one in memory count once, and stay one."""

import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.models.factory import build_model, layout_of, load_arrays, named_arrays, state_arrays
from fl_backdoor.models.ties import moved

CPU = torch.device("cpu")
TIED = {"_target_": "tests.small_models.Tied"}


def kinds(model: nn.Module) -> dict[str, bool]:
    """Which names of a model's layout are parameters."""
    return {tensor.name: tensor.is_parameter for tensor in layout_of(model).tensors}


def test_a_tied_weight_is_one_parameter():
    model = build_model(TIED, {"image_shape": (1, 2, 2)}, 3, seed=0)
    names = ["first.weight", "first.bias", "second.weight", "head.weight", "head.bias"]
    assert kinds(model) == dict.fromkeys(names, True)
    assert layout_of(model).num_params == 8 * 4 + 8 + 8 * 8 + 3 * 8 + 3


def test_a_tied_weight_is_loaded_into_both_layers_and_read_by_both_names():
    model = build_model(TIED, {"image_shape": (1, 2, 2)}, 3, seed=0)
    arrays = [np.full_like(array, place) for place, array in enumerate(state_arrays(model))]
    load_arrays(model, arrays)
    assert (model.second.weight == 2).all()
    assert model.third.weight is model.second.weight
    named = named_arrays(model)
    assert list(named) == list(model.state_dict())
    np.testing.assert_array_equal(named["third.weight"], named["second.weight"])
    assert not np.shares_memory(named["third.weight"], named["second.weight"])


class Shared(nn.Module):
    """A buffer on a parameter's memory, before it, and a statistic that two layers keep together."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", self.layer.weight.data)
        self.one, self.other = nn.Module(), nn.Module()
        for name, start in {"scale": torch.ones(1), "filters": torch.ones(2, 3, 4, 4)}.items():
            self.one.register_buffer(name, start)
            self.other.register_buffer(name, start)


def test_buffers_on_the_memory_of_others_do_not_travel():
    model = moved(Shared(), CPU)
    assert kinds(model) == {
        "layer.weight": True,
        "layer.bias": True,
        "one.scale": False,
        "one.filters": False,
    }
    load_arrays(model, [array + 1 for array in state_arrays(model)])
    assert torch.equal(model.seen, model.layer.weight)
    assert (model.other.scale == 2).all()


def test_a_move_keeps_together_what_is_one():
    parted = Shared().to(memory_format=torch.channels_last)
    assert parted.one.filters.data_ptr() != parted.other.filters.data_ptr()
    model = moved(Shared(), CPU)
    assert model.one.filters.is_contiguous(memory_format=torch.channels_last)
    model.one.filters += 1
    assert (model.other.filters == 2).all()


def test_parameters_that_were_made_of_each_other_are_one():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = nn.Parameter(model[0].weight)
    assert len(list(model.parameters())) == 4
    assert len(list(moved(model, CPU).parameters())) == 3
    assert list(kinds(model)) == ["0.weight", "0.bias", "1.bias"]


def test_parameters_that_are_views_are_refused():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[1].weight = nn.Parameter(model[0].weight.t())
    with pytest.raises(ConfigError) as caught:
        moved(model, CPU)
    assert str(caught.value) == (
        "model = 1.weight: no view of 0.weight; whole tensors can be tied: a.weight = b.weight"
    )


def test_parts_of_one_memory_are_tensors_of_their_own():
    table = torch.arange(8.0)
    model = nn.Module()
    model.low, model.high = nn.Parameter(table[:4]), nn.Parameter(table[4:])
    model.register_buffer("empty", torch.zeros(0))
    model.register_buffer("nothing", torch.zeros(0))
    assert list(kinds(moved(model, CPU))) == ["low", "high", "empty", "nothing"]


def test_what_is_frozen_counts_and_what_is_not_persistent_does_not_travel():
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    model.register_buffer("cache", torch.zeros(3), persistent=False)
    assert kinds(model) == {"weight": True, "bias": True}
    load_arrays(model, state_arrays(model))
