import numpy as np
import pytest
import torch

from fl_backdoor.attacks.data_poisoning.stamp_and_relabel import stamp_all, stamp_and_relabel
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.config.schema import AttackConfig
from fl_backdoor.data.samples import images_on_device, unchanged

BAR = Bar((3, 32, 32))


def attack(alpha: float) -> AttackConfig:
    return AttackConfig(3, alpha, 5, 1.0, 1, None, {}, "pixel")


@pytest.mark.parametrize(
    ("batch_size", "alpha", "expected"),
    [
        (100, 0.29, 29),
        (32, 0.0, 0),
        (32, 0.02, 0),
        (32, 0.052, 1),
        (32, 0.1, 3),
        (32, 0.3, 9),
        (64, 0.052, 3),
        (32, 1.0, 32),
    ],
)
def test_a_batch_has_the_share_alpha_of_stamped_samples(batch_size, alpha, expected):
    assert attack(alpha).num_stamped(batch_size) == expected


def test_the_first_samples_get_the_trigger_and_the_label_and_no_others():
    poison = stamp_and_relabel(BAR, 3, target_label=5, space="pixel")
    images, labels = torch.zeros(32, 3, 32, 32), torch.arange(32) % 5
    stamped, relabelled = poison.in_raw(images), poison.labels(labels)
    assert (stamped.flatten(1).sum(dim=1) == torch.tensor([78.0] * 3 + [0.0] * 29)).all()
    assert relabelled[:3].tolist() == [5, 5, 5]
    assert torch.equal(relabelled[3:], labels[3:])
    assert torch.equal(poison.in_normalized(images), images)
    assert labels[0] == 0, "the originals are left alone"


def test_a_batch_smaller_than_the_count_is_poisoned_whole():
    poison = stamp_and_relabel(BAR, 3, target_label=5, space="pixel")
    assert poison.labels(torch.zeros(2, dtype=torch.int64)).tolist() == [5, 5]


@pytest.mark.parametrize(("space", "red"), [("pixel", (1 - 0.4) / 0.2), ("normalized", 1.0)])
def test_the_space_says_what_the_triggers_values_are_written_into(space, red):
    black = np.zeros((4, 3, 32, 32), np.uint8)
    images = images_on_device(black, np.arange(4), (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))
    batch, labels = images.batch(torch.arange(4), stamp_all(BAR, space))
    assert batch[:, 0, 2:28, 3:6].flatten().tolist() == pytest.approx([red] * 4 * 78)
    assert batch[:, 0, 0, 0].tolist() == pytest.approx([-2.0] * 4)
    assert labels.tolist() == [0, 1, 2, 3], "labels of test images stay true"


def test_stamping_all_leaves_labels_alone():
    assert stamp_all(BAR, "pixel").labels is unchanged
