"""What binds a malicious client's training, worked out by hand on models of two or three parameters."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clients import BenignClient, LocalTask
from fl_backdoor.attacks.shared_state import PREVIOUS_MODEL, packed, unpacked
from fl_backdoor.attacks.training.base import Start
from fl_backdoor.attacks.training.distance import Distance
from fl_backdoor.attacks.training.neurotoxin import Neurotoxin
from fl_backdoor.attacks.training.own import OwnTraining
from fl_backdoor.attacks.training.pgd import PGD
from fl_backdoor.config.schema import AttackConfig, ClientConfig, TrainingConfig, parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.models.factory import state_arrays
from fl_backdoor.runner.composition import composed
from fl_backdoor.training.hooks import HookedTrainer, Hooks
from fl_backdoor.training.trainer import Trainer
from tests.attacks.test_updates import KNOWN
from tests.clients.test_clients import GLOBAL_MODEL, attacking, equal, fit, task
from tests.training.test_cuda_graph import Recorder, cnn, images, needs_gpu, same, train

LOCAL = ClientConfig(0.1, 0.0, 0.0, 2, 1)


def start(*parameters, moved=None) -> Start:
    tensors = [torch.tensor(values) for values in parameters]
    movement = None if moved is None else [torch.tensor(values) for values in moved]
    return Start(nn.Identity(), tensors, movement, KNOWN)


def after(constraint, begun: Start, taken: int, num_steps: int = 9):
    constraint.after_step(taken, num_steps)
    return [parameter.tolist() for parameter in begun.parameters]


def test_pgd_projects_onto_the_ball_around_the_global_model():
    pgd, begun = PGD(radius=2.5, every=3), start([1.0, 0.0], [5.0])
    pgd.begin(begun)
    begun.parameters[0].add_(torch.tensor([3.0, 0.0]))
    begun.parameters[1].add_(torch.tensor([4.0]))
    assert after(pgd, begun, taken=1) == [[4.0, 0.0], [9.0]], "it is not time yet"
    # The movement (3, 0, 4) has length 5, twice the radius.
    assert after(pgd, begun, taken=3) == [[2.5, 0.0], [7.0]]
    begun.parameters[0].copy_(torch.tensor([1.1, 0.3]))
    begun.parameters[1].copy_(torch.tensor([5.2]))
    inside = [parameter.clone() for parameter in begun.parameters]
    pgd.after_step(6, 9)
    assert all(map(torch.equal, begun.parameters, inside)), "a point of the ball stays to the bit"
    begun.parameters[1].copy_(torch.tensor([1005.0]))
    assert after(pgd, begun, taken=7, num_steps=7)[1] == pytest.approx([7.5], abs=1e-3), "after the last"


@pytest.mark.parametrize(
    ("top", "by_layer", "expected"),
    [
        # Movements 1, -5, 2, 4 and 3, 0: the two largest of six are 5 and 4.
        (0.34, False, [[1, 0, 1, 0], [1, 1]]),
        (0.5, False, [[1, 0, 1, 0], [0, 1]]),
        (0.5, True, [[1, 0, 1, 0], [0, 1]]),
        (0.25, True, [[1, 0, 1, 1], [1, 1]]),
        (0.1, False, [[1, 1, 1, 1], [1, 1]]),
    ],
)
def test_neurotoxin_trains_where_the_global_model_moved_least(top, by_layer, expected):
    toxin = Neurotoxin(top=top, by_layer=by_layer)
    toxin.begin(start([0.0] * 4, [0.0] * 2))
    assert all(bool(mask.all()) for mask in toxin.masks), "nothing is known in the first round"
    masks = list(toxin.masks)
    toxin.begin(start([0.0] * 4, [0.0] * 2, moved=[[1.0, -5.0, 2.0, 4.0], [3.0, 0.0]]))
    assert [mask.tolist() for mask in toxin.masks] == expected
    assert all(one is other for one, other in zip(masks, toxin.masks, strict=True)), "a recorded step sees it"
    gradients = toxin.gradients([torch.full((4,), 7.0), torch.full((2,), -7.0)])
    assert [gradient.abs().div(7).tolist() for gradient in gradients] == expected


def test_the_distance_is_weighed_against_the_task():
    distance, begun = Distance(task_weight=0.75), start([1.0, 1.0], [0.0])
    for parameter in begun.parameters:
        parameter.requires_grad_()
    distance.begin(begun)
    with torch.no_grad():
        begun.parameters[0].add_(torch.tensor([2.0, 0.0]))
        begun.parameters[1].add_(torch.tensor([1.5]))
    # Logits (0, 0): ln 2. The distance is |(2, 0, 1.5)| = 2.5; it has a gradient of unit length.
    loss = distance.loss(lambda inputs: inputs, torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    assert loss.item() == pytest.approx(0.75 * math.log(2) + 0.25 * 2.5)
    found = torch.autograd.grad(loss, begun.parameters)
    assert torch.cat(found).tolist() == pytest.approx([0.25 * 0.8, 0, 0.25 * 0.6])


def test_its_own_settings_take_the_place_of_a_benign_clients():
    assert OwnTraining(TrainingConfig(), None, None).client_settings(LOCAL) == LOCAL
    held_back = replace(LOCAL, proximal_mu=1.0, label_smoothing=0.1)
    assert TrainingConfig(learning_rate=0.1).beside(held_back) == held_back
    assert TrainingConfig(objective={"_target_": "anything"}).beside(held_back) == LOCAL
    faster = OwnTraining(TrainingConfig(learning_rate=0.5, local_steps=7), None, None)
    assert faster.client_settings(LOCAL) == ClientConfig(0.5, 0.0, 0.0, 2, 1, 7)
    epochs = OwnTraining(TrainingConfig(local_epochs=6, weight_decay=0.01, momentum=0.5), None, None)
    assert epochs.client_settings(replace(LOCAL, local_steps=3)) == ClientConfig(0.1, 0.5, 0.01, 2, 6)


def test_the_learning_rate_falls_after_shares_of_the_steps():
    training = OwnTraining(TrainingConfig(decay_at=[0.2, 0.8], decay=0.5), None, None)
    rates = [training.learning_rate(taken, 10, 1.0) for taken in (0, 1, 2, 7, 8, 9)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert not training.is_recordable, "a recorded step has one rate for ever"


def test_the_learning_rate_falls_after_epochs_as_steplr_has_it():
    settings = TrainingConfig(local_epochs=6, decay_every=2, decay=0.5)
    training = OwnTraining(settings, None, None)
    rates = [[training.learning_rate(7 * epoch + batch, 42, 0.8) for batch in range(7)] for epoch in range(6)]
    assert rates == [[rate] * 7 for rate in (0.8, 0.8, 0.4, 0.4, 0.2, 0.2)]
    assert not training.is_recordable


@pytest.mark.parametrize(
    ("own", "factor"),
    [({}, 0.25), ({"learning_rate": 0.5}, 1.0), ({"learning_rate": 0.5, "follows_schedule": True}, 0.25)],
)
def test_a_rate_of_its_own_stays_over_the_rounds_unless_it_follows_the_schedule(own, factor):
    client, training = bound(PGD(radius=1e9), **own)
    client.task.trainer.rate_factor = 0.25
    found = fit(client)[0]
    assert client.adversary.trainer.learning_rate == own.get("learning_rate", 0.05) * factor
    assert training.rate_factor(0.25) == factor
    same_rate = bound(PGD(radius=1e9), learning_rate=own.get("learning_rate", 0.05) * factor)[0]
    assert equal(found, fit(same_rate)[0])


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            ["attack.training.decay_every=2"],
            "decay_every = 2: counts epochs: set attack.training.local_epochs",
        ),
        (
            ["attack/training=longer", "attack.training.decay_every=2"],
            "decay_every = 2: takes the place of attack.training.decay_at, which must be [] then",
        ),
    ],
)
def test_a_rate_that_falls_by_epochs_needs_epochs(told, line):
    with pytest.raises(ConfigError, match=re.escape(line)):
        parse_whole(next(composed(["dataset=mnist5k", *told])))


class Line(Hooks):
    """The loss is the sum of all parameters: every gradient is 1."""

    def __init__(self, model, rates=()):
        self.model, self.rates = model, rates
        self.seen = []

    def loss(self, logits_of, inputs, labels):
        return sum(parameter.sum() for parameter in self.model.parameters())

    def gradients(self, gradients):
        return [3 * gradient for gradient in gradients]

    def learning_rate(self, taken, num_steps, usual):
        return self.rates[taken] if self.rates and taken < len(self.rates) else usual

    def after_step(self, taken, num_steps):
        self.seen.append((taken, num_steps))


def test_the_trainer_lets_hooks_into_each_step():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
    hooks = Line(model, rates=(0.5, 0.25))
    trainer = HookedTrainer(model, ClientConfig(0.5, 0.0, 0.0, 8, 1, local_steps=2), hooks)
    result = trainer.train(images(), torch.Generator().manual_seed(0))
    # 0 - 0.5 * 3, then - 0.25 * 3; losses 0 and 1,920 times -1.5.
    assert model[1].weight.unique().tolist() == [-2.25]
    assert (result.num_steps, result.loss) == (2, pytest.approx(-1.5 * 1920 / 2))
    assert hooks.seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("own", [Hooks(), OwnTraining(TrainingConfig(), None, None)])
def test_hooks_that_do_nothing_change_no_bit(own):
    settings, data = ClientConfig(0.05, 0.9, 1e-3, 8, 2), images()
    expected = train(Trainer(cnn(), settings), data, np.arange(20))
    found = train(HookedTrainer(cnn(), settings, own), data, np.arange(20))
    assert same(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.mark.parametrize("decay_at", [[], [0.5]])
def test_bound_steps_are_recorded_unless_the_rate_changes(decay_at):
    settings, data, found = ClientConfig(0.05, 0.9, 1e-3, 8, 2), images(), []
    for recorder in (None, Recorder()):
        toxin = Neurotoxin(top=0.5)
        own = OwnTraining(TrainingConfig(decay_at=decay_at), Distance(), toxin)
        trainer = HookedTrainer(cnn(), settings, own, record=recorder)
        for number in (1, 2):  # what the recorded step reads changes from round to round
            trainer.model.load_state_dict(cnn().state_dict())
            random = torch.Generator().manual_seed(number)
            moved = [torch.randn(parameter.shape, generator=random) for parameter in trainer.parameters]
            own.begin(Start(trainer.model, trainer.parameters, moved, KNOWN))
            trainer.train(data, torch.Generator().manual_seed(5))
            found.append(state_arrays(trainer.model))
        if recorder is not None:
            assert recorder.recordings == (0 if decay_at else 1)
    assert same(found[0], found[2])
    assert same(found[1], found[3])
    assert not same(found[0], found[1])


@needs_gpu
def test_a_cuda_graph_is_bound_as_the_eager_loop():
    settings, data, found = ClientConfig(0.05, 0.9, 1e-3, 8, 2), images("cuda"), []
    for recorder in (None, Recorder()):
        own = OwnTraining(TrainingConfig(), Distance(), Neurotoxin(top=0.5))
        trainer = HookedTrainer(cnn().cuda(), settings, own, record=recorder)
        for number in (1, 2):
            trainer.model.load_state_dict(cnn().state_dict())
            random = torch.Generator().manual_seed(number)
            moved = [torch.randn(one.shape, generator=random).cuda() for one in trainer.parameters]
            own.begin(Start(trainer.model, trainer.parameters, moved, KNOWN))
            trainer.train(data, torch.Generator().manual_seed(5))
            found.append(state_arrays(trainer.model))
    assert same(found[0], found[2])
    assert same(found[1], found[3])


def bound(constraint=None, **settings):
    own = OwnTraining(TrainingConfig(**settings), None, constraint)
    return attacking(AttackConfig(3, 0.5, 5, 1.0, 1, None, {}, "pixel"), training=own), own


def test_a_client_that_is_bound_stays_in_the_ball():
    client, _ = bound(PGD(radius=0.01))
    layout = client.task.layout
    update = layout.update(fit(client)[0], state_arrays(GLOBAL_MODEL))
    assert np.linalg.norm(update) == pytest.approx(0.01, rel=1e-4)
    free = layout.update(fit(bound(PGD(radius=1e3))[0])[0], state_arrays(GLOBAL_MODEL))
    assert np.linalg.norm(free) > 0.1


def test_a_client_leaves_alone_what_moved_since_it_was_last_sent_a_model():
    client, _ = bound(Neurotoxin(top=0.3))
    layout, received = client.task.layout, state_arrays(GLOBAL_MODEL)
    moved = np.random.default_rng(0).standard_normal(layout.num_params).astype(np.float32)
    shared = packed({PREVIOUS_MODEL: layout.vector(received) - moved})
    arrays, _, _ = client.fit(received, {"server_round": 2, "shared_state": shared})
    update = layout.update(arrays, received)
    largest = np.argsort(-np.abs(moved))[: int(0.3 * len(moved))]
    assert not update[largest].any()
    assert np.count_nonzero(update) > 0.3 * len(moved)
    assert not np.array_equal(update, layout.update(fit(bound(Neurotoxin(top=0.3))[0])[0], received))


def test_more_epochs_are_not_told():
    client, _ = bound(local_epochs=4)
    arrays, _, metrics = fit(client)
    assert metrics["num_steps"] == 3, "as many as a benign client takes with 40 samples in batches of 16"
    assert not equal(arrays, fit(bound(learning_rate=0.05)[0])[0])


def test_what_is_set_to_a_benign_clients_values_changes_no_bit():
    plain = attacking(AttackConfig(3, 0.5, 5, 1.0, 1, None, {}, "pixel"))
    assert equal(fit(bound(learning_rate=0.05)[0])[0], fit(plain)[0])


def test_the_adversary_knows_what_all_would_have_trained_honestly():
    client = attacking(AttackConfig(3, 0.5, 5, 1.0, 1, None, {}, "pixel"))
    own, received = client.task, state_arrays(GLOBAL_MODEL)
    built = []

    def build(client_id: int) -> BenignClient:
        built.append(client_id)
        return BenignClient(LocalTask(client_id, 0, own.samples, own.trainer, own.layout))

    client.adversary._client_ids, client.adversary._build = (2, 7), build
    expected = [own.layout.update(fit(BenignClient(task(client_id)))[0], received) for client_id in (2, 7)]
    found = client.adversary.honest_updates(received, 1)
    assert np.array_equal(found, np.stack(expected))
    assert equal(state_arrays(own.trainer.model), received), "the model is as it was received"
    assert client.adversary.honest_updates([array.copy() for array in received], 1) is found
    assert built == [2, 7], "once a round"
    client.adversary.honest_updates(received, 2)
    client.adversary.honest_updates([array + array.dtype.type(1) for array in received], 2)
    assert len(built) == 6


def test_malicious_clients_remember_the_model_that_one_of_them_was_sent_last():
    attack = bound(Neurotoxin())[0].attack
    first = attack.merged_state(b"", [], lambda: np.array([1.0, 2.0], np.float32))
    assert unpacked(first)[PREVIOUS_MODEL].tolist() == [1, 2]
    assert attack.merged_state(first, [b"", b"from anybody"], None) == first, "none of them was sent one"
    assert bound(PGD())[0].attack.merged_state(b"", [], lambda: np.zeros(2, np.float32)) == b"", "nobody asks"


@pytest.mark.parametrize(("name", "part"), [("pgd", PGD), ("neurotoxin", Neurotoxin)])
def test_attacks_are_chosen_by_name(name, part):
    config = parse_whole(next(composed(["dataset=mnist5k", f"attack={name}", "attack.boost_factor=3"])))[0]
    attack = ExperimentContext(config).attack
    assert type(attack.training.constraint) is part
    assert attack.needs_previous_model == part.needs_previous_model
    assert [update.factor for update in attack.updates] == [3], "with model replacement"


def test_constrain_and_scale_is_a_choice_of_parts():
    chosen = ["dataset=mnist5k", "attack/training=longer", "attack/training/objective=distance"]
    training = ExperimentContext(parse_whole(next(composed(chosen)))[0]).attack.training
    assert type(training.objective) is Distance
    assert training.settings.decay_at == [0.2, 0.8]
    assert training.client_settings(LOCAL).local_epochs == 6
