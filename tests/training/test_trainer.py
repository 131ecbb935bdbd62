import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.data.samples import CLEAN, Images, Poison, images_on_device
from fl_backdoor.training.trainer import Trainer, predict


def settings(**changed) -> ClientConfig:
    optimizer = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    return ClientConfig(**({**optimizer, "batch_size": 2, "local_epochs": 1} | changed))


def images(num: int = 5, seed: int = 0) -> Images:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (num, 1, 2, 2), dtype=np.uint8)
    return images_on_device(pixels, np.arange(num) % 3, (0.5,), (0.25,), torch.device("cpu"))


def linear_model() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) / (number + 1))
    return model


def softmax_gradient(weight, bias, inputs, labels, smoothing=0.0):
    """Cross-entropy of a linear model, differentiated by hand."""
    logits = inputs @ weight.T + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1 - smoothing
    shares -= smoothing / shares.shape[1]
    return shares.T @ inputs / len(labels), shares.mean(axis=0)


@pytest.mark.parametrize(
    "changed", [{}, {"local_epochs": 2}, {"local_steps": 4}, {"batch_size": 5}, {"proximal_mu": 3.0}]
)
def test_training_is_sgd_with_momentum_and_weight_decay(changed):
    wanted, data, model = settings(**changed), images(), linear_model()
    weight, bias = (parameter.detach().double().numpy().copy() for parameter in model.parameters())
    start = (weight.copy(), bias.copy())
    result = Trainer(model, wanted).train(data, torch.Generator().manual_seed(3))

    shuffler = torch.Generator().manual_seed(3)
    inputs = (data.stored.numpy().reshape(5, 4) / 255 - 0.5) / 0.25
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    batches = []
    while len(batches) < result.num_steps:
        batches += torch.randperm(5, generator=shuffler).split(wanted.batch_size)
    for batch in batches[: result.num_steps]:
        gradients = softmax_gradient(weight, bias, inputs[batch.numpy()], data.labels.numpy()[batch.numpy()])
        for value, gradient, velocity, origin in zip(
            (weight, bias), gradients, velocities, start, strict=True
        ):
            proximal = wanted.proximal_mu * (value - origin)
            velocity[:] = 0.9 * velocity + gradient + proximal + 0.01 * value
            value[:] = value - 0.1 * velocity
    trained = [parameter.detach().numpy() for parameter in model.parameters()]
    np.testing.assert_allclose(trained[0], weight, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(trained[1], bias, rtol=2e-5, atol=1e-6)


def test_labels_are_smoothed_and_gradients_clipped():
    data, model = images(), linear_model()
    weight, bias = (parameter.detach().double().numpy().copy() for parameter in model.parameters())
    plain = {"momentum": 0.0, "weight_decay": 0.0, "batch_size": 5}
    wanted = settings(**plain, label_smoothing=0.3, max_grad_norm=0.25)
    Trainer(model, wanted).train(data, torch.Generator().manual_seed(3))

    inputs = (data.stored.numpy().reshape(5, 4) / 255 - 0.5) / 0.25
    gradients = softmax_gradient(weight, bias, inputs, data.labels.numpy(), smoothing=0.3)
    length = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients))
    assert length > 0.25
    for parameter, value, gradient in zip(model.parameters(), (weight, bias), gradients, strict=True):
        expected = value - 0.1 * 0.25 / length * gradient
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "steps", "coverage"),
    [
        ({}, 3, 1),
        ({"local_epochs": 2}, 6, 1),
        ({"batch_size": 5}, 1, 1),
        ({"batch_size": 9}, 1, 1),
        ({"local_steps": 7}, 7, 1),
        ({"local_steps": 2}, 2, 0.8),
    ],
)
def test_steps_of_five_samples(changed, steps, coverage):
    assert settings(**changed).num_steps(5) == steps
    assert settings(**changed).coverage(5) == coverage
    generator = torch.Generator().manual_seed(0)
    assert Trainer(linear_model(), settings(**changed)).train(images(), generator).num_steps == steps


def normed_model() -> nn.Module:
    model = linear_model()
    return nn.Sequential(model[0], nn.BatchNorm1d(4), model[1])


@pytest.mark.parametrize(
    ("num", "batch_size", "sizes"),
    [
        (5, 2, [2, 3]),
        (5, 4, [5]),
        (5, 3, [3, 2]),
        (4, 2, [2, 2]),
        (3, 1, [1, 1, 1]),
        (1, 4, [1]),
        (3, 4, [3]),
    ],
)
def test_under_batchnorm_a_sample_left_over_belongs_to_the_batch_before(num, batch_size, sizes):
    wanted = settings(batch_size=batch_size, local_epochs=2)
    assert Trainer(normed_model(), wanted).batch_sizes(num) == sizes
    assert Trainer(normed_model(), wanted).num_steps(num) == 2 * len(sizes) <= wanted.num_steps(num)
    assert len(Trainer(linear_model(), wanted).batch_sizes(num)) == -(-num // batch_size)


def test_under_batchnorm_each_sample_is_trained_on_once_a_pass():
    seen = []

    def watched(labels):
        seen.append(len(labels))
        return labels

    trainer = Trainer(normed_model(), settings(local_steps=5))
    result = trainer.train(images(), torch.Generator().manual_seed(0), Poison(labels=watched))
    assert (result.num_steps, seen) == (5, [2, 3, 2, 3, 2])
    assert np.isfinite(result.loss)


def test_the_reported_loss_is_the_mean_over_steps():
    data, model = images(), linear_model()
    still = settings(learning_rate=1e-12, batch_size=5, local_epochs=3)
    expected = predict(linear_model(), data, 5).loss
    result = Trainer(model, still).train(data, torch.Generator().manual_seed(0))
    assert result.loss == pytest.approx(expected, rel=1e-5)


def test_a_poison_reaches_images_and_labels_of_each_batch():
    seen = []

    def blacken(pixels):
        seen.append((float(pixels.min()) >= 0 and float(pixels.max()) <= 1, len(pixels)))
        return torch.zeros_like(pixels)

    poison = Poison(in_raw=blacken, labels=lambda labels: torch.full_like(labels, 2))
    model = linear_model()
    Trainer(model, settings(local_epochs=30)).train(images(), torch.Generator().manual_seed(0), poison)
    assert seen[:3] == [(True, 2), (True, 2), (True, 1)], "pixels come before normalisation"
    black = images_on_device(
        np.zeros((1, 1, 2, 2), np.uint8), np.array([2]), (0.5,), (0.5,), torch.device("cpu")
    )
    assert predict(model, black, 1).classes.tolist() == [2]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_predictions_do_not_depend_on_the_batch_size(batch_size):
    data, model = images(), linear_model()
    inputs = (data.stored.numpy().reshape(5, 4) / 255 - 0.5) / 0.25
    weight, bias = (parameter.detach().double().numpy() for parameter in model.parameters())
    logits = inputs @ weight.T + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = predict(model, data, batch_size)
    assert predictions.classes.tolist() == logits.argmax(axis=1).tolist()
    expected = -np.log(shares[np.arange(5), data.labels.numpy()]).mean()
    assert predictions.loss == pytest.approx(expected, rel=1e-5)


def test_a_sample_whose_logits_are_not_all_finite_has_no_class():
    data, model = images(), linear_model()
    expected = predict(model, data, 5).classes.tolist()
    for lost in (torch.nan, torch.inf):
        second = Poison(in_raw=lambda pixels, lost=lost: pixels.index_fill(0, torch.tensor([1]), lost))
        found = predict(model, data, 5, second)
        assert found.classes.tolist() == [expected[0], NO_CLASS, *expected[2:]]
        assert not math.isfinite(found.loss)


def test_selected_rows_are_trained_on_as_if_they_were_all_there_is():
    pixels = np.random.default_rng(4).integers(0, 256, (9, 1, 2, 2), dtype=np.uint8)
    labels, rows = np.arange(9) % 3, np.array([7, 0, 3, 4, 8])
    described = ((0.5,), (0.25,), torch.device("cpu"))
    selected = images_on_device(pixels, labels, *described).select(rows)
    copied = images_on_device(pixels[rows], labels[rows], *described)
    models = [linear_model(), linear_model()]
    results = [
        Trainer(model, settings()).train(data, torch.Generator().manual_seed(2))
        for model, data in zip(models, (selected, copied), strict=True)
    ]
    assert results[0] == results[1]
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))
    first, second = (predict(models[0], data, 2) for data in (selected, copied))
    assert (len(selected), first.loss) == (5, second.loss)
    assert first.classes.tolist() == second.classes.tolist()


def test_a_trainer_forgets_the_client_before():
    wanted, data, trainer = settings(), images(), Trainer(linear_model(), settings())
    trainer.train(images(seed=8), torch.Generator().manual_seed(1))
    trainer.model.load_state_dict(linear_model().state_dict())
    fresh = Trainer(linear_model(), wanted)
    again, first = (each.train(data, torch.Generator().manual_seed(1)) for each in (trainer, fresh))
    assert again == first
    assert torch.equal(trainer.model[1].weight, fresh.model[1].weight)


class Fading(nn.Module):
    """Multiplies by less at each step, by a number that is not sent."""

    def __init__(self):
        super().__init__()
        self.linear = linear_model()
        self.register_buffer("factor", torch.ones(()), persistent=False)

    def forward(self, inputs):
        self.factor *= 0.5
        return self.factor * self.linear(inputs)


def test_a_trainer_forgets_what_a_model_keeps_to_itself():
    data, fresh, used = images(), Trainer(Fading(), settings()), Trainer(Fading(), settings())
    used.train(images(seed=8), torch.Generator().manual_seed(1))
    used.model.load_state_dict(Fading().state_dict())
    found = [each.train(data, torch.Generator().manual_seed(1)) for each in (used, fresh)]
    assert found[0] == found[1]


def test_bf16_trains_nearly_as_fp32_and_parameters_stay_float32():
    data, models = images(40), [linear_model(), linear_model()]
    for model, precision in zip(models, ("fp32", "bf16"), strict=True):
        Trainer(model, settings(), precision).train(data, torch.Generator().manual_seed(0))
        assert model[1].weight.dtype == torch.float32
    assert not torch.equal(models[0][1].weight, models[1][1].weight)
    np.testing.assert_allclose(*(model[1].weight.detach().numpy() for model in models), atol=0.1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_threads_predict_with_one_model_what_one_does(precision):
    data, model = images(200), linear_model()
    blacken = Poison(in_raw=torch.zeros_like)
    expected = [predict(model, data, 7, poison, precision) for poison in (CLEAN, blacken)]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            begun = [
                threads.submit(predict, model, data, 7, poison, precision) for poison in (CLEAN, blacken)
            ]
            for future, wanted in zip(begun, expected, strict=True):
                assert future.result().loss == wanted.loss
                assert np.array_equal(future.result().classes, wanted.classes)
