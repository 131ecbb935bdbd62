import numpy as np
import pytest
import torch
from PIL import Image

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.samples import CLEAN
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.models.factory import state_arrays
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.rehearsal import rehearse


def config(*overrides: str):
    return parse_whole(next(composed(["dataset=mnist5k", "precision=fp32", *overrides])))[0]


def model(name: str) -> str:
    return f"model._target_=tests.odd_models.{name}"


@pytest.fixture
def few_images(tmp_path):
    """The settings of a data set of seven training images of 4x4 pixels."""
    for split, count in (("train", 7), ("test", 2)):
        for number in range(count):
            folder = tmp_path / "few" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (20 * number, 0, 9)).save(folder / f"{number}.png")
    return [
        "dataset=image_folder",
        "dataset.folder=few",
        "dataset.size=4",
        f"dataset.root={tmp_path}",
        f"dataset.cache={tmp_path / 'cache'}",
        "attack.num_malicious=0",
        "attack.target_label=0",
        "attack.trigger.rows=[3,3]",
    ]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ([model("Pair")], "returns a tuple; must be a tensor of logits (2, 10)"),
        (
            [model("Three")],
            "returns float32 (2, 3) for 2 of the images of mnist5k; must be logits (2, 10)",
        ),
        ([model("Squeezed")], "returns float32 (10,) for 1 of the images of mnist5k; must be logits (1, 10)"),
        (
            [model("Flat"), "+model.dtype=bfloat16"],
            "has head.weight in bfloat16; must be float32: precision=bf16 computes in bfloat16",
        ),
        (
            [model("Flat"), "+model.dtype=float16"],
            "has head.weight in float16; must be float32: precision=bf16 computes in bfloat16",
        ),
        ([model("Frozen")], "has no parameters to train"),
        ([model("NotFinite")], "has a loss of nan before any weight has moved"),
        ([model("no_module")], "makes a dict, not a torch.nn.Module"),
        (
            [model("InputsOfAnotherSize")],
            "does not work with the images of mnist5k (1x28x28): RuntimeError: ",
        ),
    ],
)
def test_a_model_that_does_not_go_with_the_rest_is_one_line(overrides, reason):
    with pytest.raises(ConfigError) as error:
        rehearse(config(*overrides))
    [name] = [override.partition("=")[2] for override in overrides if override.startswith("model._target_")]
    assert str(error.value).startswith(f"model._target_ = {name}: {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cnn", "resnet9"])
def test_images_too_small_for_the_model_are_one_line(few_images, name):
    with pytest.raises(ConfigError) as error:
        rehearse(config(*few_images, f"model={name}"))
    [line] = str(error.value).splitlines()
    assert f": cannot be built ({name}.py:" in line
    assert "at least 8 pixels high" in line


@pytest.mark.parametrize("choice", [["model=cnn"], [model("Flat"), "+model.dtype=float64"], [model("Lazy")]])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_that_works_says_nothing_and_leaves_random_numbers_alone(choice, precision):
    before = torch.get_rng_state()
    assert rehearse(config(*choice, f"precision={precision}")) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_lazy_modules_learn_their_sizes_from_the_data_and_their_weights_from_the_seed():
    first, again, other = (ExperimentContext(config(model("Lazy"), f"seed={seed}")) for seed in (1, 1, 2))
    assert first.layout.num_params == 28 * 28 * 8 + 8 + 2 * 8 + 8 * 10 + 10
    for array, same in zip(state_arrays(first.model), state_arrays(again.model), strict=True):
        np.testing.assert_array_equal(array, same)
    assert not np.array_equal(state_arrays(first.model)[0], state_arrays(other.model)[0])
    assert first.model.training
    assert int(first.model[2].num_batches_tracked) == 0


BATCH_NORM = model("BatchNormOfVectors")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [BATCH_NORM, "client.batch_size=1"],
            r"client\.batch_size = 1: .*BatchNormOfVectors cannot be trained",
        ),
        (
            [BATCH_NORM, "partition.num_clients=5"],
            r"client\.batch_size = 32: leaves client \d, who has 1 samples, a batch of a single one, on ",
        ),
    ],
)
def test_a_batch_of_one_sample_that_cannot_be_trained_on_is_refused(few_images, overrides, message):
    with pytest.raises(ConfigError, match=message):
        rehearse(config(*few_images, *overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        [BATCH_NORM, "client.batch_size=2", "partition.num_clients=2"],  # three and four samples
        [model("Flat"), "client.batch_size=1", "partition.num_clients=2"],
        [model("Flat"), "partition.num_clients=7"],
    ],
)
def test_a_last_batch_of_one_sample_is_nobodys_trouble(few_images, overrides):
    wanted = config(*few_images, *overrides)
    rehearse(wanted)
    context = ExperimentContext(wanted)
    for rows in context.partition:
        samples = context.training_samples.select(rows)
        result = context.trainer.train(samples, torch.Generator().manual_seed(0), CLEAN)
        assert result.num_steps == context.trainer.num_steps(len(rows))
        assert np.isfinite(result.loss)
