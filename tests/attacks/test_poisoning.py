import numpy as np
import pytest
import torch

from fl_backdoor.attacks.attack import Attack
from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.poisoning.base import Poisoning
from fl_backdoor.attacks.poisoning.label_flip import LabelFlip
from fl_backdoor.attacks.poisoning.source_to_target import SourceToTarget
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.config.schema import AttackConfig, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.data.samples import images_on_device, unchanged
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.composition import composed

BAR = Bar((3, 32, 32))
LABELS = [3, 0, 3, 3, 5, 3]


class CleanLabel(Poisoning):
    """Samples of the target get the trigger and keep their label; all others are tested."""

    relabels = False

    def __init__(self, **settings):
        super().__init__(np.full(10, 5), **settings)

    def poisoned_classes(self):
        return np.arange(10) == 5


class Next(Poisoning):
    """All to all: class i becomes i + 1."""

    def __init__(self):
        super().__init__((np.arange(10) + 1) % 10)


def attack(alpha: float, poisoning: Poisoning | None = None) -> Attack:
    config = AttackConfig(3, alpha, 5, 1.0, 1, None, {}, "pixel")
    return Attack(config, BAR, poisoning or AllToOne(10, 5))


def black(labels=LABELS):
    pixels = np.zeros((len(labels), 3, 32, 32), np.uint8)
    return images_on_device(pixels, np.array(labels), (0.0,) * 3, (1.0,) * 3, torch.device("cpu"))


def poisoned(poison, labels=LABELS):
    """Which samples of a batch have the trigger, and the labels of all."""
    images = black(labels)
    inputs, changed = images.batch(images.rows, poison)
    return [int(image.any()) for image in inputs], changed.tolist()


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
def test_a_batch_has_the_share_alpha_of_poisoned_samples(batch_size, alpha, expected):
    assert attack(alpha).config.num_poisoned(batch_size) == expected


def test_the_first_samples_get_the_trigger_and_the_label_and_no_others():
    poison = AllToOne(10, 5).in_batches(BAR, "pixel", 3)
    images, labels = torch.zeros(32, 3, 32, 32), torch.arange(32) % 5
    stamped, relabelled = poison.in_raw(images), poison.labels(labels)
    assert (stamped.flatten(1).sum(dim=1) == torch.tensor([78.0] * 3 + [0.0] * 29)).all()
    assert relabelled[:3].tolist() == [5, 5, 5]
    assert torch.equal(relabelled[3:], labels[3:])
    assert torch.equal(poison.in_normalized(images), images)
    assert labels[0] == 0, "the originals are left alone"


def test_a_batch_smaller_than_the_count_is_poisoned_whole():
    poison = AllToOne(10, 5).in_batches(BAR, "pixel", 3)
    assert poison.labels(torch.zeros(2, dtype=torch.int64)).tolist() == [5, 5]


@pytest.mark.parametrize(("space", "red"), [("pixel", (1 - 0.4) / 0.2), ("normalized", 1.0)])
def test_the_space_says_what_the_triggers_values_are_written_into(space, red):
    pixels = np.zeros((4, 3, 32, 32), np.uint8)
    images = images_on_device(pixels, np.arange(4), (0.4,) * 3, (0.2,) * 3, torch.device("cpu"))
    batch, labels = images.batch(torch.arange(4), AllToOne(10, 5).in_test(BAR, space))
    assert batch[:, 0, 2:28, 3:6].flatten().tolist() == pytest.approx([red] * 4 * 78)
    assert batch[:, 0, 0, 0].tolist() == pytest.approx([-2.0] * 4)
    assert labels.tolist() == [0, 1, 2, 3], "labels of test images stay true"


@pytest.mark.parametrize(
    ("poisoning", "stamped", "labels"),
    [
        # Of the first four samples.
        (AllToOne(10, 5), [1, 1, 1, 1, 0, 0], [5, 5, 5, 5, 5, 3]),
        (SourceToTarget(10, 5, source_label=3), [1, 0, 1, 1, 0, 0], [5, 0, 5, 5, 5, 3]),
        (LabelFlip(10, 5, source_label=3), [0, 0, 0, 0, 0, 0], [5, 0, 5, 5, 5, 3]),
        (Next(), [1, 1, 1, 1, 0, 0], [4, 1, 4, 4, 5, 3]),
        (CleanLabel(), [0, 0, 0, 0, 0, 0], LABELS),
    ],
)
def test_which_samples_of_a_batch_change_and_how(poisoning, stamped, labels):
    assert poisoned(poisoning.in_batches(BAR, "pixel", 4)) == (stamped, labels)


def test_a_clean_label_is_kept_and_the_trigger_applied():
    assert poisoned(CleanLabel().in_batches(BAR, "pixel", 6)) == ([0, 0, 0, 0, 1, 0], LABELS)


@pytest.mark.parametrize(
    ("poisoning", "aims", "is_stamped"),
    [
        (AllToOne(4, 1), [1, 1, 1, 1], True),
        (SourceToTarget(4, 1, source_label=3), [NO_CLASS, NO_CLASS, NO_CLASS, 1], True),
        (LabelFlip(4, 1, source_label=3), [NO_CLASS, NO_CLASS, NO_CLASS, 1], False),
    ],
)
def test_what_success_is_measured_with_follows_from_the_poisoning(poisoning, aims, is_stamped):
    assert poisoning.aims().tolist() == aims
    test = poisoning.in_test(BAR, "pixel")
    assert test.labels is unchanged
    assert poisoned(test) == ([int(is_stamped)] * 6, LABELS)


def test_samples_can_be_drawn_once():
    labels = [3] * 30 + [0] * 30
    once = attack(0.4, SourceToTarget(10, 5, source_label=3, once=True))
    mine, other = (black(labels).select(np.arange(start, 60, 2)) for start in (0, 1))
    poison = once.poison(BAR, mine, 16, seed=0, client_id=1)
    stamped, changed = poisoned(poison, labels)
    # int(30 * 0.4) of the client's 30 samples are drawn, about half of them of class 3.
    assert 2 <= sum(stamped) <= 10
    assert [int(label == 5) for label in changed] == stamped
    assert not any(stamped[1::2]), "none of another client's"
    assert once.poison(BAR, mine, 16, seed=0, client_id=1) is poison, "in every round"
    assert poisoned(once.poison(BAR, other, 16, seed=0, client_id=2), labels)[0][::2] == [0] * 30
    whole = attack(0.4, AllToOne(10, 5, once=True))
    assert sum(poisoned(whole.poison(BAR, mine, 16, seed=0, client_id=1), labels)[0]) == 12


def test_who_has_no_sample_to_poison_does_no_harm():
    flip = attack(1.0, LabelFlip(10, 5, source_label=3))
    assert flip.does_harm(np.array([0, 3]), 16)
    assert not flip.does_harm(np.array([0, 5]), 16)
    assert not attack(0.05).does_harm(np.array([0, 3]), 16)


@pytest.mark.parametrize("source_label", [5, 10])
def test_a_source_that_cannot_be_is_one_line(source_label):
    with pytest.raises(ConfigError) as error:
        LabelFlip(10, 5, source_label=source_label)
    assert str(error.value) == (
        f"attack.poisoning.source_label = {source_label}: must be one of the classes 0 … 9, and not "
        "attack.target_label"
    )


@pytest.mark.parametrize(
    ("name", "part", "of_target"), [("label_flip", LabelFlip, 0.0), ("source_to_target", SourceToTarget, 0.0)]
)
def test_attacks_are_chosen_by_name(name, part, of_target):
    config = parse_whole(next(composed(["dataset=mnist5k", f"attack={name}"])))[0]
    experiment = Experiment(config)
    assert type(ExperimentContext(config).poisoning) is part
    assert experiment.stamped_of_target_class == of_target
    assert all(experiment.is_attacking(client_id, 1) for client_id in experiment.malicious)
