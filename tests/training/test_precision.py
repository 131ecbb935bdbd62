import pytest
import torch
from torch import nn

from fl_backdoor.config.schema import parse_whole
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed
from fl_backdoor.runner.experiment_key import clean_key
from fl_backdoor.training.precision import computes_bf16, logits_of, resolve_precision

CPU = torch.device("cpu")


def config(*overrides: str):
    return parse_whole(next(composed(["dataset=mnist5k", "engine.device=cpu", *overrides])))[0]


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx512_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({"avx2": True, "avx512_f": True, "amx_bf16": False, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_auto_is_bf16_where_the_processor_multiplies_it(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert computes_bf16(CPU) is native
    assert resolve_precision("auto", CPU) == ("bf16" if native else "fp32")
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"


def test_a_pytorch_that_cannot_tell_computes_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", CPU) == "fp32"


def test_bf16_rounds_what_is_multiplied_and_answers_in_float32():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1 + 2**-10)  # bfloat16 has 7 bits after the point
    one = torch.ones(1, 1)
    assert logits_of(model, one, "fp32").item() == 1 + 2**-10
    rounded = logits_of(model, one, "bf16")
    assert (rounded.item(), rounded.dtype) == (1.0, torch.float32)
    assert model.weight.dtype == torch.float32


@pytest.mark.parametrize("wanted", ["auto", "fp32", "bf16"])
def test_a_checked_configuration_holds_a_concrete_precision(wanted):
    checked = check(config(f"precision={wanted}")).config
    assert checked.precision == resolve_precision(wanted, CPU)


def test_runs_of_different_precision_have_different_clean_baselines():
    assert clean_key(config("precision=fp32")) != clean_key(config("precision=bf16"))
