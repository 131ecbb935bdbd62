import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fl_backdoor.core.errors import ConfigError
from fl_backdoor.metrics import attack_success_rate, evaluate_backdoor, robust_accuracy, success_rate


class Add:
    """A trigger: 10 is added."""

    def stamp(self, samples):
        return samples + 10


class Table(nn.Module):
    """Says of the number x what stands in a row: class 0, 1 or 2; NaN for what is not there."""

    def __init__(self, row):
        super().__init__()
        self.row = row
        self.modes = []

    def forward(self, numbers):
        self.modes.append(self.training)
        found = [self.row.get(int(number)) for number in numbers]
        return torch.stack(
            [torch.full((3,), math.nan) if at is None else 2.0 * torch.eye(3)[at] for at in found]
        )


LABELS = [0, 1, 2, 2, 1, 0]
CLEAN = {0: 0, 1: 1, 2: 2, 3: 0, 4: 1, 5: None}  # 4 of 6 right
TRIGGERED = {10: 2, 11: 2, 12: 2, 13: 0, 14: 1, 15: None}
# The target is class 2: of samples 0, 1, 4 and 5 the first two are taken for it, of all six three.


def loader(**settings):
    return DataLoader(TensorDataset(torch.arange(6.0), torch.tensor(LABELS)), 4, **settings)


def test_figures_by_hand():
    model = Table(CLEAN | TRIGGERED).train()
    assert attack_success_rate(model, loader(), Add(), 2) == 2 / 4
    assert success_rate(model, loader(), Add(), 2) == 3 / 6
    # Sample 4 keeps its class, as one of four.
    assert robust_accuracy(model, loader(), Add(), 2) == 1 / 4
    assert set(model.modes) == {False}
    assert model.training


def test_all_at_once_whatever_the_order():
    figures = evaluate_backdoor(Table(CLEAN | TRIGGERED | {5: 1}), loader(shuffle=True), Add(), 2)
    assert figures.main_task_accuracy == 4 / 6
    assert (figures.attack_success_rate, figures.success_rate) == (2 / 4, 3 / 6)
    right, wrong = math.log(math.e**2 + 2) - 2, math.log(math.e**2 + 2)
    assert figures.test_loss == pytest.approx((4 * right + 2 * wrong) / 6, rel=1e-6)


def test_one_source_class_without_a_trigger():
    # Of class 0 there are samples 0 and 5, of which one is taken for class 1.
    assert attack_success_rate(Table({**CLEAN, 5: 1}), loader(), None, 1, source_label=0) == 1 / 2


def test_batches_may_be_mappings():
    batches = [{"x": samples, "y": labels} for samples, labels in loader()]
    assert attack_success_rate(Table(TRIGGERED), batches, Add(), 2, keys=("x", "y")) == 2 / 4


@pytest.mark.parametrize(
    ("batches", "arguments", "message"),
    [
        ([], {}, "^loader = empty: must hold samples"),
        (
            [(torch.zeros(2), torch.tensor([2, 2]))],
            {},
            "^loader = 2 samples: must hold some of another class than the target",
        ),
        (loader(), {"source_label": 7}, "^loader = 6 samples: must hold some of class 7"),
    ],
)
def test_a_share_of_nothing_is_one_line(batches, arguments, message):
    with pytest.raises(ConfigError, match=message):
        attack_success_rate(Table(CLEAN | TRIGGERED), batches, Add(), 2, **arguments)
