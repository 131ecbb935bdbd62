"""The one rule of when a model has diverged."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fl_backdoor.core.errors import ReplyError
from fl_backdoor.core.layout import Layout, TensorSpec
from fl_backdoor.core.types import NO_CLASS
from fl_backdoor.federation.messages import ClientReply, check_claims
from fl_backdoor.metrics import divergence

FINE = (np.array([0, 1, 2]), np.array([0, 0, 0]))
LAYOUT = Layout((TensorSpec("w", (2,), "float32", True), TensorSpec("b", (2,), "float32", False)))
REPLY = ClientReply(3, num_examples=5, num_steps=2, train_loss=0.5, train_seconds=1.0)


def test_a_model_that_can_be_used_has_not_diverged():
    assert divergence.of_model(None, FINE, 0.5) is None


def test_a_tensor_a_prediction_or_a_loss_that_is_not_finite():
    lost = (np.array([0, NO_CLASS, 2]), np.array([NO_CLASS, 0, NO_CLASS]))
    assert divergence.of_model("bn.running_var", FINE, 0.5) == "bn.running_var is not finite"
    assert divergence.of_model(None, lost, 0.5) == "3 of 6 predictions are not finite"
    for loss in (math.nan, math.inf):
        assert divergence.of_model(None, FINE, loss) == "the test loss is not finite"


def refusals() -> list[str]:
    """Return what the server says of replies that are not finite."""
    found = []
    fine = np.zeros(2, np.float32)
    for lost in (np.nan, np.inf, 1e35):
        hostile = np.array([0, lost], np.float32)
        for check in (
            lambda a=hostile: LAYOUT.check([a, fine]),
            lambda a=hostile: LAYOUT.check([fine, a]),
            lambda a=hostile: LAYOUT.check_vector(a, "float32"),
        ):
            with pytest.raises(ReplyError) as refused:
                check()
            found.append(str(refused.value))
    with pytest.raises(ReplyError) as refused:
        check_claims(replace(REPLY, train_loss=math.nan))
    return [*found, str(refused.value)]


def test_replies_of_which_none_is_finite():
    reasons = refusals()
    assert divergence.of_replies(0, reasons) == "no reply was finite: 10 of 10 refused"
    assert all(divergence.of_replies(0, [reason]) for reason in reasons)


@pytest.mark.parametrize("other", ["no reply in time", "its node failed: gone", "2 tensors instead of 3"])
def test_other_losses_are_no_divergence(other):
    assert divergence.of_replies(0, [*refusals(), other]) is None
    assert divergence.of_replies(1, refusals()) is None
    assert divergence.of_replies(0, []) is None
