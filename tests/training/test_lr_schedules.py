"""Learning rates over rounds: figures by hand and from the papers' code; see test_optimizers.py as well."""

import math

import pytest

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.core.errors import ConfigError
from fl_backdoor.runner.checks import check_light
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import experiment_key
from fl_backdoor.testing import check_lr_schedule
from fl_backdoor.training.learning_rate import LearningRates
from fl_backdoor.training.lr_schedules.constant import Constant
from fl_backdoor.training.lr_schedules.cosine import Cosine
from fl_backdoor.training.lr_schedules.exponential import Exponential
from fl_backdoor.training.lr_schedules.linear import Linear
from fl_backdoor.training.lr_schedules.milestones import Milestones


def config(*overrides):
    return parse_whole(next(composed(["dataset=mnist5k", "precision=fp32", *overrides])))[0]


def factors(schedule, num_rounds):
    return [schedule.factor(server_round, num_rounds) for server_round in range(1, num_rounds + 1)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1, 1, 1, 1, 1, 1]),
        (Constant(warmup_rounds=1), [1, 1, 1, 1, 1, 1]),
        (Constant(warmup_rounds=4), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Constant(warmup_rounds=3, warmup_start=0.5), [0.5, 0.75, 1, 1, 1, 1]),
        (Exponential(gamma=0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (Exponential(gamma=0.5, warmup_rounds=2), [0.5, 1, 0.5, 0.25, 0.125, 0.0625]),
        # Half of six rounds is 3, and 80 % of them is 4 once it is rounded down.
        (Milestones(gamma=0.5), [1, 1, 1, 0.5, 0.25, 0.25]),
        (Milestones(milestones=(2, 5), gamma=0.5, warmup_rounds=2), [0.5, 1, 0.5, 0.5, 0.5, 0.25]),
        (Linear(), [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (Linear(decay_rounds=4, floor=0.3, warmup_rounds=2), [0.5, 1, 0.75, 0.5, 0.3, 0.3]),
        (Cosine(decay_rounds=2, floor=0.2), [1, 0.6, 0.2, 0.2, 0.2, 0.2]),
        (Cosine(), [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]),
    ],
)
def test_factors_of_six_rounds_by_hand(schedule, expected):
    assert factors(schedule, 6) == pytest.approx(expected, rel=1e-15)


def test_neurotoxins_rates_are_those_of_its_code():
    linear = Linear(decay_rounds=1500, floor=0.0005, warmup_rounds=500, warmup_start=0.005)

    def in_their_code(epoch, lr_init=0.001, target=0.2):
        if epoch <= 500:
            return epoch * (target - lr_init) / 499 + lr_init - (target - lr_init) / 499
        return max(epoch * -target / 1500 + target * 4 / 3, 0.0001)

    found = [0.2 * linear.factor(epoch, 2500) for epoch in range(1, 2501)]
    assert found == pytest.approx([in_their_code(epoch) for epoch in range(1, 2501)], rel=1e-9)


@pytest.mark.parametrize("name", ["constant", "exponential", "milestones", "cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 7])
def test_every_choice_is_built_from_its_yaml_file_and_has_a_rate_in_each_round(name, warmup):
    told = config(f"lr_schedule={name}", f"lr_schedule.warmup_rounds={warmup}", "num_rounds=40")
    rates = LearningRates(told)
    check_light(told)
    check_lr_schedule(lambda: LearningRates(told)._schedule, 40)
    assert rates.benign(max(1, warmup)) == 0.05
    assert rates.benign(1) == pytest.approx(0.05 / max(1, warmup))


def test_a_constant_rate_is_the_setting_to_the_bit_and_changes_no_name():
    assert LearningRates(config("client.learning_rate=0.1")).benign(7) == 0.1
    plain = config().to_dict()
    older = {key: value for key, value in plain.items() if key != "lr_schedule"}
    assert experiment_key(plain) == experiment_key(older)
    named = {
        experiment_key(config(f"lr_schedule={name}").to_dict()) for name in ("constant", "cosine", "linear")
    }
    assert len(named | {experiment_key(config("lr_schedule.warmup_rounds=2").to_dict())}) == 4


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["lr_schedule=linear", "lr_schedule.decay_rounds=5"],
            "lr_schedule = Linear: the learning rate of round 6 is 0: set a floor over 0, or fewer rounds",
        ),
        (
            ["lr_schedule=exponential", "lr_schedule.gamma=1.5"],
            "lr_schedule.gamma = 1.5: must be less than or",
        ),
        (["+lr_schedule.gama=0.9"], "lr_schedule.gama = 0.9: no such setting; known here: warmup_rounds"),
        (
            ["lr_schedule=milestones", "lr_schedule.milestones=[0]"],
            "lr_schedule.milestones.0 = 0: must be gr",
        ),
    ],
)
def test_what_cannot_work_is_one_line(overrides, line):
    with pytest.raises(ConfigError) as error:
        check_light(config(*overrides))
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
