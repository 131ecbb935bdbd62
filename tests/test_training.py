import numpy as np
import pytest
import torch
from torch import nn

from fl_backdoor.config import ClientConfig
from fl_backdoor.training import Images, Poison, on_device, predict, train


def settings(**changed) -> ClientConfig:
    optimizer = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    return ClientConfig(**({**optimizer, "batch_size": 2, "local_epochs": 1} | changed))


def images(num: int = 5, seed: int = 0) -> Images:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (num, 1, 2, 2), dtype=np.uint8)
    return on_device(pixels, np.arange(num) % 3, (0.5,), (0.25,), torch.device("cpu"))


def linear_model() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) / (number + 1))
    return model


def softmax_gradient(weight, bias, inputs, labels):
    """Cross-entropy of a linear model, differentiated by hand."""
    logits = inputs @ weight.T + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    return shares.T @ inputs / len(labels), shares.mean(axis=0)


@pytest.mark.parametrize("changed", [{}, {"local_epochs": 2}, {"local_steps": 4}, {"batch_size": 5}])
def test_training_is_sgd_with_momentum_and_weight_decay(changed):
    wanted, data, model = settings(**changed), images(), linear_model()
    weight, bias = (parameter.detach().double().numpy().copy() for parameter in model.parameters())
    result = train(model, data, wanted, torch.Generator().manual_seed(3))

    shuffler = torch.Generator().manual_seed(3)
    inputs = (data.pixels.numpy().reshape(5, 4) / 255 - 0.5) / 0.25
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    batches = []
    while len(batches) < result.num_steps:
        batches += torch.randperm(5, generator=shuffler).split(wanted.batch_size)
    for batch in batches[: result.num_steps]:
        gradients = softmax_gradient(weight, bias, inputs[batch.numpy()], data.labels.numpy()[batch.numpy()])
        for value, gradient, velocity in zip((weight, bias), gradients, velocities, strict=True):
            velocity[:] = 0.9 * velocity + gradient + 0.01 * value
            value[:] = value - 0.1 * velocity
    trained = [parameter.detach().numpy() for parameter in model.parameters()]
    np.testing.assert_allclose(trained[0], weight, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(trained[1], bias, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ({}, 3),
        ({"local_epochs": 2}, 6),
        ({"batch_size": 5}, 1),
        ({"batch_size": 9}, 1),
        ({"local_steps": 7}, 7),
    ],
)
def test_steps_of_five_samples(changed, steps):
    assert settings(**changed).num_steps(5) == steps
    generator = torch.Generator().manual_seed(0)
    assert train(linear_model(), images(), settings(**changed), generator).num_steps == steps


def test_the_reported_loss_is_the_mean_over_steps():
    data, model = images(), linear_model()
    still = settings(learning_rate=1e-12, batch_size=5, local_epochs=3)
    expected = predict(linear_model(), data, 5).loss
    assert train(model, data, still, torch.Generator().manual_seed(0)).loss == pytest.approx(
        expected, rel=1e-5
    )


def test_a_poison_reaches_images_and_labels_of_each_batch():
    seen = []

    def blacken(pixels):
        seen.append((float(pixels.min()) >= 0 and float(pixels.max()) <= 1, len(pixels)))
        return torch.zeros_like(pixels)

    poison = Poison(in_pixels=blacken, labels=lambda labels: torch.full_like(labels, 2))
    model = linear_model()
    train(model, images(), settings(local_epochs=30), torch.Generator().manual_seed(0), poison)
    assert seen[:3] == [(True, 2), (True, 2), (True, 1)], "pixels come before normalisation"
    half = torch.full((1, 1, 1), 0.5)
    black = Images(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([2]), half, half)
    assert predict(model, black, 1).classes.tolist() == [2]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_predictions_do_not_depend_on_the_batch_size(batch_size):
    data, model = images(), linear_model()
    inputs = (data.pixels.numpy().reshape(5, 4) / 255 - 0.5) / 0.25
    weight, bias = (parameter.detach().double().numpy() for parameter in model.parameters())
    logits = inputs @ weight.T + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = predict(model, data, batch_size)
    assert predictions.classes.tolist() == logits.argmax(axis=1).tolist()
    expected = -np.log(shares[np.arange(5), data.labels.numpy()]).mean()
    assert predictions.loss == pytest.approx(expected, rel=1e-5)
