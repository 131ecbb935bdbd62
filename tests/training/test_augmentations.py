"""What augmentations make of images, by hand; and that draws follow from seed, round and client alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clients import Adversary, BenignClient
from fl_backdoor.attacks.attack import Attack
from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.training.own import OwnTraining
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.config.schema import AttackConfig, TrainingConfig, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.samples import images_on_device
from fl_backdoor.federation.client_app import build_client
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.proxy_clients import ProxyTraining
from fl_backdoor.models.factory import state_arrays
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key, experiment_key
from fl_backdoor.runner.rehearsal import rehearse
from fl_backdoor.testing import check_augmentation, some_images
from fl_backdoor.training.augmentations.base import Augmentation, draws_for, picked
from fl_backdoor.training.augmentations.crop import Crop
from fl_backdoor.training.augmentations.cutout import Cutout
from fl_backdoor.training.augmentations.flip import Flip
from fl_backdoor.training.augmentations.rotation import Rotation
from fl_backdoor.training.augmentations.series import Series
from fl_backdoor.training.hooks import HookedTrainer, Hooks
from fl_backdoor.training.trainer import Trainer
from tests.made_sentences import write_sst2
from tests.training.test_cuda_graph import BAR, SETTINGS, SHAPE, Recorder, cnn, images, needs_gpu, same, train

FOUR = (1, 4, 4)
IMAGE = torch.tensor([[[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]]]) / 16


def crop_flip():
    return Series([Crop(SHAPE), Flip(SHAPE)])


def cutout():
    return Cutout(SHAPE, size=3)


def sixteenths(augmentation, *draws):
    """Return what becomes of the image of sixteenths 1 to 16, as whole numbers of them."""
    return (augmentation.augmented(IMAGE, torch.tensor([draws])) * 16)[0, 0].int().tolist()


@pytest.mark.parametrize(
    "build",
    [
        lambda: Crop((3, 9, 8)),
        lambda: Flip((3, 9, 8), share=1),
        lambda: Cutout((3, 9, 8), size=3),
        lambda: Rotation((3, 9, 8), degrees=180),
        lambda: Series([Crop((3, 9, 8), padding=1), Flip((3, 9, 8)), Cutout((3, 9, 8), size=20)]),
    ],
)
def test_the_contract(build):
    check_augmentation(build, some_images((3, 9, 8)))


def test_a_crop_is_a_window_of_the_framed_image():
    crop = Crop(FOUR, padding=1)  # three offsets each way: -1 from draws below 1/3, 0, 1
    black = [0, 0, 0, 0]
    assert sixteenths(crop, 0.0, 0.0) == [black, [0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]]
    assert sixteenths(crop, 0.5, 0.5) == (IMAGE * 16)[0, 0].int().tolist()
    down = [[6, 7, 8, 0], [10, 11, 12, 0], [14, 15, 16, 0], black]
    assert sixteenths(crop, 0.9, 0.9) == down
    assert sixteenths(crop, 0.9, 0.0) == [[0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15], black]


def test_a_flip_takes_left_for_right_in_the_share_of_images():
    mirrored = [[4, 3, 2, 1], [8, 7, 6, 5], [12, 11, 10, 9], [16, 15, 14, 13]]
    assert sixteenths(Flip(FOUR), 0.49) == mirrored
    assert sixteenths(Flip(FOUR), 0.5) == (IMAGE * 16)[0, 0].int().tolist()


def test_a_cutout_is_a_square_that_may_lie_partly_outside():
    # centre in row 0, column 3: rows -1 and 0, columns 2 and 3
    assert sixteenths(Cutout(FOUR, size=2), 0.0, 0.99)[0] == [1, 2, 0, 0]
    assert sixteenths(Cutout(FOUR, size=2), 0.0, 0.99)[1] == [5, 6, 7, 8]
    # centre in row 2, column 1
    cut = [[1, 2, 3, 4], [0, 0, 7, 8], [0, 0, 11, 12], [13, 14, 15, 16]]
    assert sixteenths(Cutout(FOUR, size=2), 0.5, 0.25) == cut


def test_a_rotation_turns_about_the_centre_and_leaves_black_behind():
    image = some_images((2, 5, 5), 1)
    quarter = Rotation((2, 5, 5), degrees=90)
    for draw, turns in ((0.0, -1), (0.5, 0), (1 - 2**-24, 1)):
        expected = torch.rot90(image, turns, (2, 3))
        assert torch.equal(quarter.augmented(image, torch.tensor([[draw]])), expected)
    eighth = Rotation((2, 5, 5), degrees=45).augmented(torch.ones(1, 2, 5, 5), torch.tensor([[0.0]]))
    corners = torch.ones(5, 5)
    # A corner, (-2, -2) from the centre, comes from (0, 2.8) and the like, which is outside.
    corners[[0, 0, 4, 4], [0, 4, 0, 4]] = 0
    assert torch.equal(eighth[0, 0], corners)


def test_whole_numbers_are_equally_likely_and_stay_below_their_count():
    found = picked(torch.arange(9000) / 9000, 9).bincount()
    assert found.sub(1000).abs().max() <= 1  # multiples of 1/9 are rounded
    largest = torch.tensor(1 - 2**-24)
    assert [int(picked(largest, count)) for count in (1, 9, 33, 10_007)] == [0, 8, 32, 10_006]


def test_steps_follow_each_other_with_draws_of_their_own():
    shifted_then_mirrored = [[0] * 4, [3, 2, 1, 0], [7, 6, 5, 0], [11, 10, 9, 0]]
    series = Series([Crop(FOUR, padding=1), Flip(FOUR)])
    assert series.num_draws == 3
    assert sixteenths(series, 0.0, 0.0, 0.2) == shifted_then_mirrored


def test_draws_follow_from_the_generators_state_and_leave_it():
    def drawn(seed, before=0):
        generator = torch.Generator().manual_seed(seed)
        torch.rand(before, generator=generator)
        state = generator.get_state()
        draws = draws_for(crop_flip(), [4, 3], generator, torch.device("cpu"))
        found = [next(draws) for _ in range(4)]
        assert torch.equal(generator.get_state(), state)
        assert [tuple(each.shape) for each in found] == [(4, 3), (3, 3), (4, 3), (3, 3)]
        return torch.cat(found)

    assert torch.equal(drawn(1), drawn(1))
    assert len({float(each[0, 0]) for each in (drawn(1), drawn(2), drawn(1, before=3))}) == 3
    assert len(drawn(1).unique()) > 40, "passes differ"


def test_batches_hold_the_same_samples_with_and_without_augmentation():
    data, rows = images(), np.arange(20)
    plain = train(Trainer(cnn(), SETTINGS), data, rows)
    never = train(Trainer(cnn(), SETTINGS, augmentation=Flip(SHAPE, share=0)), data, rows)
    flipped = train(Trainer(cnn(), SETTINGS, augmentation=Flip(SHAPE)), data, rows)
    assert same(never[0], plain[0])
    assert not same(flipped[0], plain[0])


def test_a_recorded_step_augments_as_the_plain_one_bit_for_bit():
    data, recorder = images(), Recorder()
    plain = Trainer(cnn(), SETTINGS, augmentation=crop_flip())
    recorded = Trainer(cnn(), SETTINGS, record=recorder, augmentation=crop_flip())
    for rows in (np.arange(20), np.arange(20, 60)):
        assert same(train(recorded, data, rows)[0], train(plain, data, rows)[0])
    assert (recorder.recordings, recorder.replays) == (1, 2 * 2 + 2 * 5)


@needs_gpu
def test_a_cuda_graph_augments_as_the_eager_loop():
    data, augmentation = images("cuda"), Series([crop_flip(), cutout()]).cuda()
    graph = Trainer(cnn().cuda(), SETTINGS, augmentation=augmentation)
    eager = Trainer(cnn().cuda(), SETTINGS, record=Recorder(), augmentation=augmentation)
    for rows in (np.arange(20), np.arange(20, 60)):
        assert same(train(graph, data, rows)[0], train(eager, data, rows)[0])


@needs_gpu
@pytest.mark.parametrize("build", [crop_flip, cutout])
def test_a_gpu_makes_the_same_images(build):
    augmentation = build()
    batch, draws = some_images(SHAPE, 40), torch.rand(40, augmentation.num_draws)
    expected = augmentation.augmented(batch, draws)
    assert torch.equal(augmentation.cuda().augmented(batch.cuda(), draws.cuda()).cpu(), expected)


@pytest.fixture
def poisoned():
    """Two images, the bar on the first of them, and what an attack with this setting does to a batch."""
    data = images_on_device(
        (np.arange(2 * 16) * 8).astype(np.uint8).reshape(2, 1, 4, 4),
        np.array([1, 2]),
        (0.5,),
        (0.25,),
        torch.device("cpu"),
    )
    bar = Bar(FOUR, rows=(1, 2), columns=(0, 0))
    settings = AttackConfig(1, 0.5, 5, 1.0, 1, None, {}, "pixel")

    def batch(augment_trigger, augment):
        config = replace(settings, augment_trigger=augment_trigger)
        poison = Attack(config, bar, AllToOne(10, 5)).poison(bar, data, 2, seed=0, client_id=0)
        inputs, labels = data.batch(torch.tensor([0, 1]), poison, augment)
        assert labels.tolist() == [5, 2]
        return inputs * 0.25 + 0.5

    return data.raw(torch.tensor([0, 1])), bar, batch


def test_the_trigger_comes_after_augmentation_unless_it_is_to_be_augmented(poisoned):
    raw, bar, batch = poisoned

    def mirrored(values):
        return values.flip(3)

    before, after = batch(False, mirrored), batch(True, mirrored)
    torch.testing.assert_close(before, torch.cat([bar.stamp(raw[:1].flip(3)), raw[1:].flip(3)]))
    torch.testing.assert_close(after, torch.cat([bar.stamp(raw[:1]), raw[1:]]).flip(3))
    assert (before[0, 0, 1:3, 0] == 1).all() and (after[0, 0, 1:3, 3] == 1).all()


def config(*overrides):
    small = ["dataset=mnist5k", "precision=fp32", "client.local_steps=3", "partition.num_clients=4"]
    return parse_whole(next(composed([*small, *overrides])))[0]


def fit(context, client_id, arrays, server_round=1):
    return build_client(context, client_id).fit(arrays, {"server_round": server_round})[0]


def test_augmentations_are_the_same_on_however_many_threads():
    every = Series([Crop(SHAPE), Flip(SHAPE), cutout(), Rotation(SHAPE, degrees=30)])
    many, num_threads = some_images(SHAPE, 500), torch.get_num_threads()
    draws, found = torch.rand(500, every.num_draws, generator=torch.Generator().manual_seed(0)), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(every.augmented(many, draws))
    torch.set_num_threads(num_threads)
    assert torch.equal(*found)


def test_a_client_trains_the_same_whatever_its_worker_has_done():
    chosen = config("augmentation=cutout")
    busy, fresh, plain = ExperimentContext(chosen), ExperimentContext(chosen), ExperimentContext(config())
    start = state_arrays(busy.model)
    for client_id in range(4):
        fit(busy, client_id, start)
    expected = fit(busy, 2, start, server_round=2)
    assert same(fit(fresh, 2, start, server_round=2), expected)
    assert not same(fit(plain, 2, start, server_round=2), expected)


def test_attackers_with_a_training_of_their_own_augment_as_benign_clients_do():
    data, rows = images(), np.arange(20)
    benign = Trainer(cnn(), SETTINGS, augmentation=crop_flip())
    expected = train(benign, data, rows)[0]
    hooked = HookedTrainer(cnn(), SETTINGS, Hooks(), augmentation=crop_flip())
    assert same(train(hooked, data, rows)[0], expected)
    own = OwnTraining(TrainingConfig(), None, None)
    attack = Attack(AttackConfig(1, 0.5, 5, 1.0, 1, None, {}, "pixel"), BAR, AllToOne(10, 5), own)
    adversary = Adversary(attack, benign, None, [0], BenignClient)
    assert same(train(adversary.trainer, data, rows)[0], expected)


def test_the_servers_own_training_is_not_augmented():
    settings = ("server.root_samples=20", "client.batch_size=8")
    proxies = ProxyTraining(config("augmentation=crop_flip", *settings), 20)
    assert proxies.context.trainer.augmentation is None


@pytest.mark.parametrize("choice", ["flip", "crop_flip", "cutout", "rotation"])
def test_each_choice_is_built_and_tried(choice):
    rehearse(check(config(f"augmentation={choice}")).config)


def test_steps_go_by_name_and_have_settings():
    context = ExperimentContext(config("augmentation.steps=[flip,crop]", "augmentation.step.crop.padding=2"))
    assert [type(step) for step in context.augmentation.steps] == [Flip, Crop]
    assert context.augmentation.steps[1].padding == 2
    assert ExperimentContext(config()).augmentation is None


def test_text_takes_none(tmp_path):
    text = ("experiment=sst2", f"dataset.root={write_sst2(tmp_path)}", f"dataset.cache={tmp_path / 'cache'}")
    with pytest.raises(ConfigError) as error:
        _ = ExperimentContext(parse_whole(next(composed([*text, "augmentation=flip"])))[0]).augmentation
    assert str(error.value) == (
        "augmentation.step.flip._target_ = fl_backdoor.training.augmentations.flip.Flip: is not made for the "
        "sentences of sst2; take augmentation=none, or another that is"
    )


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            ["augmentation.steps=[crop,blur]"],
            "augmentation.steps = blur: must be among those that augmentation.step has settings of: crop, "
            "flip, cutout, rotation",
        ),
        (
            ["attack.augment_trigger=true"],
            "attack.augment_trigger = True: there is no augmentation; take augmentation=crop_flip, or false",
        ),
        (
            ["augmentation=flip", "attack.augment_trigger=true", "attack.trigger_space=normalized"],
            "attack.augment_trigger = True: needs the trigger in pixels; take attack.trigger_space=pixel, or "
            "false",
        ),
        (
            ["augmentation=crop_flip", "augmentation.step.crop.padding=0"],
            "augmentation.step.crop.padding = 0: must be greater than or equal to 1",
        ),
    ],
)
def test_what_cannot_be_is_one_line(overrides, reason):
    with pytest.raises(ConfigError) as error:
        check(config(*overrides))
    assert str(error.value) == reason


def test_only_named_steps_make_another_run():
    named = ("augmentation.step.crop.padding=2", "augmentation=flip", "augmentation=crop_flip")
    plain, *keys = [experiment_key(config(*told).to_dict()) for told in ([], *([name] for name in named))]
    assert keys[0] == plain
    assert len(set(keys)) == 3
    augmented = config("augmentation=flip")
    stamped = config("augmentation=flip", "attack.augment_trigger=true")
    assert experiment_key(augmented.to_dict()) != experiment_key(stamped.to_dict())
    assert clean_key(config()) != clean_key(augmented) == clean_key(stamped)
    plain = next(composed(["dataset=mnist5k"]))
    before = {key: value for key, value in plain.items() if key != "augmentation"}
    assert experiment_key(plain) == experiment_key(before)


class InPlace(Augmentation):
    num_draws = 1

    def augmented(self, samples, draws):
        return samples.mul_(draws.view(-1, 1, 1, 1))


class ByItself(Augmentation):
    num_draws = 0

    def augmented(self, samples, draws):
        return torch.rand_like(samples)


class OfTheBatch(Augmentation):
    num_draws = 0

    def augmented(self, samples, draws):
        return samples - samples.amin(dim=0)


class Brighter(Augmentation):
    num_draws = 1

    def augmented(self, samples, draws):
        return samples + draws.view(-1, 1, 1, 1)


class Halved(Augmentation):
    num_draws = 0

    def __init__(self, image_shape):
        super().__init__()

    def augmented(self, samples, draws):
        return samples[:, :, ::2]


class Failing(Halved):
    def augmented(self, samples, draws):
        raise ValueError("no such\ncolour")


@pytest.mark.parametrize(
    ("build", "fault"),
    [
        (InPlace, "originals"),
        (ByItself, "draws by itself"),
        (OfTheBatch, "beside a sample"),
        (Brighter, "leave"),
        (lambda: Flip(FOUR, share=0), "nothing is changed"),
    ],
)
def test_an_augmentation_that_breaks_the_contract_is_told_so(build, fault):
    with pytest.raises(AssertionError, match=fault):
        check_augmentation(build, some_images(FOUR))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Failing", "fails: ValueError: no such colour"),
        ("Halved", "makes float32 (2, 1, 14, 28) of samples; must be float32 (2, 1, 28, 28), as they were"),
    ],
)
def test_one_that_does_not_work_is_found_before_the_run(name, reason):
    own = f"+augmentation.step.mine._target_={__name__}.{name}"
    with pytest.raises(ConfigError) as error:
        rehearse(config(own, "augmentation.steps=[mine]"))
    assert str(error.value) == f"augmentation.steps = ['mine']: {reason}"
