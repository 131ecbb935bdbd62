import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fl_backdoor.attacks import (
    AllToOne,
    Bar,
    Distributed,
    LabelFlip,
    OnNormalized,
    PoisonedDataset,
    SourceToTarget,
)
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.seeding import Purpose, generator

BAR = Bar((1, 4, 4), rows=(0, 0), columns=(0, 3), color=(1.0,))
LABELS = torch.arange(40) % 10
BLACK = TensorDataset(torch.zeros(40, 1, 4, 4), LABELS)


def changed(data):
    """Which samples are stamped, and those whose label is another than before."""
    items = [data[index] for index in range(len(data))]
    stamped = {index for index, (sample, _) in enumerate(items) if sample.any()}
    return stamped, {index: int(label) for index, (_, label) in enumerate(items) if label != LABELS[index]}


def drawn(seed, client_id, count):
    return set(generator(seed, Purpose.POISONED_SAMPLES, client_id).permutation(40)[:count].tolist())


def test_a_share_is_stamped_and_relabelled_and_follows_from_seed_and_client():
    # 29 % of 40 are 11.6.
    poisoned = PoisonedDataset(BLACK, AllToOne(10, 3), BAR, alpha=0.29, seed=7, client_id=2)
    stamped, labels = changed(poisoned)
    assert stamped == drawn(7, 2, 11)
    assert labels == {index: 3 for index in stamped if LABELS[index] != 3}
    assert changed(poisoned) == (stamped, labels)
    others = [
        PoisonedDataset(BLACK, AllToOne(10, 3), BAR, alpha=0.29, **which) for which in ({}, {"seed": 7})
    ]
    assert all(changed(other)[0] != stamped for other in others)


def test_the_trigger_is_where_it_belongs_and_nothing_else_is_touched():
    poisoned = PoisonedDataset(BLACK, AllToOne(10, 3), BAR, alpha=1.0)
    sample, label = poisoned[5]
    assert sample.tolist() == [[[1.0] * 4, [0.0] * 4, [0.0] * 4, [0.0] * 4]]
    assert label.dtype == torch.int64
    assert not BLACK.tensors[0].any()
    assert BLACK.tensors[1].tolist() == LABELS.tolist()
    assert len(poisoned) == 40


def test_samples_of_other_classes_stay_as_they_are():
    stamped, labels = changed(PoisonedDataset(BLACK, SourceToTarget(10, 3, source_label=1), BAR, alpha=1.0))
    assert stamped == {1, 11, 21, 31}
    assert labels == dict.fromkeys(stamped, 3)
    stamped, labels = changed(PoisonedDataset(BLACK, LabelFlip(10, 3, source_label=1), alpha=1.0))
    assert (stamped, labels) == (set(), {1: 3, 11: 3, 21: 3, 31: 3})


class Named(Dataset):
    """Mappings with more in them, and labels that are NumPy's or Python's."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"img": torch.zeros(1, 4, 4), "label": (np.int64(index), index)[index % 2], "id": index}


def test_mappings_keep_what_else_they_hold():
    poisoned = PoisonedDataset(Named(), AllToOne(10, 3), BAR, alpha=1.0, keys=("img", "label"))
    assert [(item["label"], item["id"]) for item in (poisoned[0], poisoned[1])] == [(3, 0), (3, 1)]
    assert poisoned[0]["img"].sum() == 4
    batch = next(iter(DataLoader(poisoned, 4)))
    assert batch["label"].tolist() == [3] * 4


def test_it_goes_to_another_process():
    poisoned = PoisonedDataset(BLACK, SourceToTarget(10, 3, source_label=1), BAR, alpha=0.5)
    changed(poisoned)
    assert changed(pickle.loads(pickle.dumps(poisoned))) == changed(poisoned)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trigger": BAR, "alpha": 1.5}, r"^alpha = 1.5: must be a share in \[0, 1\]"),
        ({"trigger": None, "alpha": 0.5}, "^trigger = None: AllToOne needs one"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        PoisonedDataset(BLACK, AllToOne(10, 3), **arguments)


def test_a_sample_that_is_no_tensor_is_one_line():
    poisoned = PoisonedDataset([("image", 1)], AllToOne(10, 3), BAR, alpha=1.0)
    with pytest.raises(ConfigError, match=r"^clean = str: must hold tensors"):
        poisoned[0]


def test_a_trigger_on_normalised_images_is_the_one_on_pixels():
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    centre, scale = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    whole = Distributed((3, 32, 32))
    for trigger in (whole, whole.part(1, 4)):
        expected = (trigger.stamp(pixels) - centre) / scale
        found = OnNormalized(trigger, mean, std).stamp((pixels - centre) / scale)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    normalized = OnNormalized(whole, mean, std)
    assert normalized.part(1, 4).trigger is whole.part(1, 4)
    assert normalized.part(1, 4) is normalized.part(1, 4)
