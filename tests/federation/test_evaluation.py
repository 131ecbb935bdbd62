"""Figures of models that cannot be used, from a real model and the whole test set."""

import numpy as np
import pytest
from flwr.app import ArrayRecord

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.evaluation import Evaluator
from fl_backdoor.models.factory import first_not_finite, load_arrays, state_arrays
from fl_backdoor.runner.composition import composed

TOLD = ["dataset=mnist5k", "model._target_=tests.small_models.with_buffers", "attack.target_label=0"]


@pytest.fixture(scope="module")
def context():
    return ExperimentContext(parse_whole(next(composed(TOLD)))[0])


@pytest.fixture
def evaluate(context):
    """Evaluate the initial model with some of its tensors changed, by name."""
    names, initial = list(context.model.state_dict()), state_arrays(context.model)

    def found(**changed):
        arrays = [
            np.asarray(changed.get(name.replace(".", "_"), array))
            for name, array in zip(names, initial, strict=True)
        ]
        steps = []
        with Evaluator(context) as evaluator:
            evaluator.start(ArrayRecord(arrays), steps.append)
        return steps[0].figures, steps[0].diverged

    yield found
    load_arrays(context.model, initial)


def test_a_model_that_can_be_used(evaluate):
    figures, diverged = evaluate()
    assert diverged is None
    assert 0 < figures.main_task_accuracy < 0.5


def test_negative_variances_make_logits_nan_which_are_no_success_of_the_backdoor(evaluate):
    figures, diverged = evaluate(**{"1_running_var": np.full(4, -0.19, np.float32)})
    assert diverged == "2000 of 2000 predictions are not finite"
    assert (figures.main_task_accuracy, figures.attack_success_rate, figures.success_rate) == (0, 0, 0)


def test_a_tensor_that_is_not_finite_is_named(evaluate, context):
    _, diverged = evaluate(**{"4_bias": np.full(10, np.inf, np.float32)})
    assert diverged == "4.bias is not finite"
    assert first_not_finite(context.model) == "4.bias"


def test_where_several_models_vote_the_majority_decides_and_the_model_stays(context):
    initial, labels = state_arrays(context.model), context.data.test.labels
    names = list(context.model.state_dict())

    def always(wanted):
        """Answer 100 for a class, and 0 for the others."""
        answers = {"4.weight": np.zeros((10, 3136)), "4.bias": 100 * np.eye(10)[wanted]}
        return [np.asarray(answers.get(name, array)) for name, array in zip(names, initial, strict=True)]

    found = []
    with Evaluator(context) as evaluator:
        evaluator.start(ArrayRecord(initial), found.append, voters=lambda _: map(always, [3, 1, 3, 0]))
    figures = found[0].figures
    assert figures.main_task_accuracy == np.mean(labels == 3)
    assert (figures.attack_success_rate, figures.success_rate) == (0, 0)
    # Of each model's answers those are 100 wrong that should have been another class.
    wrong = [100 * np.mean(labels != wanted) for wanted in (3, 1, 3, 0)]
    assert figures.test_loss == pytest.approx(np.mean(wrong), rel=1e-5)
    for array, before in zip(state_arrays(context.model), initial, strict=True):
        np.testing.assert_array_equal(array, before)
