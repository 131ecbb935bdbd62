from dataclasses import replace

import numpy as np
import pytest
import torch

from clients import Adversary, BenignClient, LocalTask, MaliciousClient
from fl_backdoor.attacks.attack import Attack
from fl_backdoor.attacks.poisoning.all_to_one import AllToOne
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.attacks.updates.imitation import Imitation
from fl_backdoor.attacks.updates.scaling import Scaling
from fl_backdoor.config.schema import AttackConfig, ClientConfig, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.data.samples import CLEAN, images_on_device
from fl_backdoor.federation.client_app import build_client
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.models.factory import build_model, layout_of, state_arrays
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.training.trainer import Trainer

SHAPE = (1, 28, 28)
GLOBAL_MODEL = build_model({"_target_": "fl_backdoor.models.cnn.CNN"}, {"image_shape": SHAPE}, 10, seed=0)


def task(client_id: int = 2, seed: int = 0, batch_size: int = 16) -> LocalTask:
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (40, *SHAPE), dtype=np.uint8)
    images = images_on_device(pixels, np.arange(40) % 10, (0.13,), (0.31,), torch.device("cpu"))
    model = build_model({"_target_": "fl_backdoor.models.cnn.CNN"}, {"image_shape": SHAPE}, 10, seed=9)
    trainer = Trainer(model, ClientConfig(0.05, 0.9, 0.0, batch_size, 1))
    return LocalTask(client_id, seed, images, trainer, layout_of(model))


def attacking(
    config: AttackConfig, *updates, own=None, rank: int = 0, trigger=None, poisoning=None, training=None
):
    """A malicious client whose config says that it has these updates."""
    own, named = own or task(), [type(update).__name__.lower() for update in updates]
    config = replace(config, updates=named, update={name: {} for name in named})
    attack = Attack(config, trigger or Bar(SHAPE), AllToOne(10, 5), training, updates)
    adversary = Adversary(attack, own.trainer, own.layout, [own.client_id], lambda _: BenignClient(own))
    return MaliciousClient(own, adversary, rank)


def malicious(alpha: float = 0.1, *updates, first: int = 1, last: int | None = None):
    return attacking(AttackConfig(3, alpha, 5, 1.0, first, last, {}, "pixel"), *updates)


def fit(client: BenignClient, server_round: int = 1):
    return client.fit(state_arrays(GLOBAL_MODEL), {"server_round": server_round})


def equal(first, second) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_client_answers_with_model_examples_and_steps():
    arrays, num_examples, metrics = fit(BenignClient(task()))
    assert num_examples == 40
    assert metrics["num_steps"] == 3
    assert [array.shape for array in arrays] == [array.shape for array in state_arrays(GLOBAL_MODEL)]
    assert not equal(arrays, state_arrays(GLOBAL_MODEL))


def test_the_same_seed_round_and_client_give_the_same_bits():
    assert equal(fit(BenignClient(task()))[0], fit(BenignClient(task()))[0])
    assert not equal(fit(BenignClient(task()))[0], fit(BenignClient(task(seed=1)))[0])
    assert not equal(fit(BenignClient(task()))[0], fit(BenignClient(task(client_id=3)))[0])
    assert not equal(fit(BenignClient(task()))[0], fit(BenignClient(task()), server_round=2)[0])


@pytest.mark.parametrize(
    "client",
    [
        malicious(alpha=0.0),
        malicious(alpha=0.05),
        malicious(first=2),
        malicious(0.1, Imitation(share=0.5), first=2),
    ],
)
def test_a_malicious_client_that_does_not_attack_is_benign_to_the_bit(client):
    # int(16 * 0.05) = 0 samples are poisoned
    assert equal(fit(client)[0], fit(BenignClient(task()))[0])


def test_it_poisons_in_its_rounds_alone():
    client = malicious(first=2, last=3)
    assert [client.poison(number) is CLEAN for number in (1, 2, 3, 4)] == [True, False, False, True]
    assert not equal(fit(client, server_round=2)[0], fit(BenignClient(task()), server_round=2)[0])


@pytest.mark.parametrize(
    ("batch_size", "alpha", "expected"),
    [(16, 0.1, [1, 1, 1]), (16, 0.6, [9, 9, 8]), (40, 0.1, [4]), (4000, 0.1, [4]), (4000, 0.02, None)],
)
def test_each_batch_has_the_share_alpha_of_the_clients_largest_one(batch_size, alpha, expected):
    # 40 samples: batches of 16, 16 and 8, or one of 40. The last one has as many stamped as it can hold.
    client = attacking(AttackConfig(3, alpha, 5, 1.0, 1, None, {}, "pixel"), own=task(batch_size=batch_size))
    poison = client.poison(1)
    if expected is None:
        assert poison is CLEAN
        assert not client.attacks(1)
        return
    sizes = [16, 16, 8] if batch_size == 16 else [40]
    assert [int((poison.labels(torch.zeros(n, dtype=torch.int64)) == 5).sum()) for n in sizes] == expected


def test_clients_that_take_turns_attack_by_their_ranks():
    attack = AttackConfig(3, 0.1, 5, 1.0, 1, None, {}, "pixel", every=2)
    # Their ids, 2 and 4, are both even: by id they would attack in the same rounds.
    clients = [attacking(attack, own=task(2 + 2 * rank), rank=rank) for rank in (0, 1)]
    assert [[client.poison(number) is CLEAN for number in (1, 2, 3)] for client in clients] == [
        [False, True, False],
        [True, False, True],
    ]


def test_a_boosted_update_is_the_trained_one_multiplied():
    before = state_arrays(GLOBAL_MODEL)
    plain, boosted = fit(malicious())[0], fit(malicious(0.1, Scaling(factor=4)))[0]
    for start, once, four in zip(before, plain, boosted, strict=True):
        np.testing.assert_allclose(four - start, 4 * (once - start), rtol=1e-4, atol=1e-6)


def test_statistics_are_sent_as_they_were_trained():
    spec = {"_target_": "tests.small_models.with_buffers"}
    sent = []
    for factor in (1.0, 50.0):
        model = build_model(spec, {"image_shape": SHAPE}, 10, seed=0)
        trainer = Trainer(model, ClientConfig(0.05, 0.9, 0.0, 16, 1))
        attack = AttackConfig(3, 0.1, 5, 1.0, 1, None, {}, "pixel")
        start, layout = state_arrays(model), layout_of(model)
        own = LocalTask(2, 0, task().samples, trainer, layout)
        client = attacking(attack, Scaling(factor=factor), own=own)
        arrays = client.fit(start, {"server_round": 1})[0]
        layout.check_statistics(layout.buffers(arrays), start)
        sent.append((layout.update(arrays, start), layout.buffers(arrays)))
    (once, buffers), (often, same) = sent
    np.testing.assert_allclose(often, 50 * once, rtol=1e-3, atol=1e-5)
    assert equal(buffers, same)


def test_manipulations_follow_each_other():
    benign, boosted = fit(BenignClient(task()))[0], fit(malicious(0.1, Scaling(factor=4)))[0]
    mixed = fit(malicious(0.1, Scaling(factor=4), Imitation(share=0.25)))[0]
    for honest, poisoned, sent in zip(benign, boosted, mixed, strict=True):
        np.testing.assert_allclose(sent, 0.75 * honest + 0.25 * poisoned, rtol=1e-4, atol=1e-6)


def test_training_leaves_the_received_model_alone():
    received = state_arrays(GLOBAL_MODEL)
    BenignClient(task()).fit(received, {"server_round": 1})
    assert equal(received, state_arrays(GLOBAL_MODEL))


class Proximal(BenignClient):
    """A client of somebody else's, with a setting of its own."""

    def __init__(self, task, *, mu: float) -> None:
        super().__init__(task)
        self.mu = mu


class Watching(MaliciousClient):
    """A malicious one."""


def test_the_classes_of_clients_are_plugins():
    [plain] = composed(
        [
            *("dataset=mnist5k", f"client._target_={__name__}.Proximal", "+client.options.mu=0.5"),
            f"attack.client._target_={__name__}.Watching",
        ]
    )
    context = ExperimentContext(parse_whole(plain)[0])
    found = {client_id in context.malicious_ids: build_client(context, client_id) for client_id in range(10)}
    assert (found[False].mu, found[True].rank) == (0.5, 2)
    assert (type(found[False]).__name__, type(found[True]).__name__) == ("Proximal", "Watching")
    # What it would have trained honestly is what a client of that class trains.
    assert type(found[True].adversary._build(0)).__name__ == "Proximal"


def test_a_wrong_setting_of_a_client_is_one_line():
    [plain] = composed(["dataset=mnist5k", "+client.options.mu=0.5"])
    with pytest.raises(ConfigError) as error:
        check(parse_whole(plain)[0])
    assert str(error.value) == "client.options.mu = 0.5: no such setting"
