"""One step of training and one of evaluation with the configured model, before any work starts.

What a model or an augmentation returns, and what it makes of the samples, is seen in no signature: one that
does not go with the rest would otherwise cost every client its place in every round.
"""

import json
import math
from dataclasses import replace

import torch
from torch import nn

from fl_backdoor.config.schema import ExperimentConfig, SimulationConfig
from fl_backdoor.core import plugins
from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.data.samples import CLEAN, Samples
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.models.factory import layout_of, state_arrays
from fl_backdoor.runner import start
from fl_backdoor.runner.checks import Checked, check
from fl_backdoor.training.trainer import Trainer

NUM_SAMPLES = 2
"""The fewest that BatchNorm has a variance of."""

PARAMETERS = (torch.float32, torch.float64)
"""Updates are float32: they can be taken from these, and added to them."""

_trains_on_one: dict[str, bool] = {}
"""Whether a model that was found to work can be trained on a single sample; each is tried once a process."""


def ready(config: ExperimentConfig) -> Checked:
    """Check a configuration in every way; raises like `fl_backdoor.runner.checks.check` and `rehearsed`."""
    return rehearsed(check(config))


def rehearsed(checked: Checked) -> Checked:
    """Try the model, and the weights that it is to start from.

    Raises
    ------
    ConfigError
        As `rehearse`, or if the weights do not fit the model.
    DataError
        As `rehearse`.
    """
    rehearse(checked.config)
    return replace(checked, of_start=start.notices(checked.config))


def rehearse(config: ExperimentConfig) -> None:
    """Try the model of a checked configuration; its data set is read, and downloaded if need be.

    The model is a throw-away one, and no random number of a run is touched.

    Raises
    ------
    ConfigError
        If the model cannot be trained or evaluated, or not on the batches that clients make, or if an
        augmentation fails.
    DataError
        If the data set cannot be read.
    """
    context = ExperimentContext(config)
    parts = [config.dataset, config.model, config.precision, config.engine.device, config.augmentation]
    key = json.dumps(parts, sort_keys=True, default=str)
    if key not in _trains_on_one:
        with torch.random.fork_rng(devices=[context.device] if context.device.type == "cuda" else []):
            _trains_on_one[key] = _tried(context)
    if not _trains_on_one[key]:
        _refuse_single_samples(context)


def _tried(context: ExperimentContext) -> bool:
    """Return whether the model can be trained on a single sample; raise where it cannot be used at all."""
    spec, dataset = context.config.model, context.dataset
    samples = context.first_samples(NUM_SAMPLES, context.device)
    _augment(context, samples)
    try:
        fault = (
            _type_fault(context.model) or _output_fault(context, samples) or _training_fault(context, samples)
        )
    except FlBackdoorError:
        raise
    except Exception as error:  # whatever a model raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        fault = f"does not work with the {dataset.kind} of {dataset.name} ({dataset.in_words()}): {reason}"
    if fault is not None:
        raise ConfigError(f"model.{plugins.TARGET}", spec[plugins.TARGET], fault)
    try:
        _logits(context, samples, 1, training=True)
    except Exception:  # BatchNorm's, most likely
        return False
    return True


def _augment(context: ExperimentContext, samples: Samples) -> None:
    """Raise where an augmentation fails, or returns something else than samples."""
    if context.augmentation is None:
        return
    raw = samples.raw(samples.rows.to(context.device))
    draws = torch.zeros(len(raw), context.augmentation.num_draws, device=context.device)
    names = context.config.augmentation.steps
    try:
        found = context.augmentation.augmented(raw, draws)
    except Exception as error:  # whatever a plug-in raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError("augmentation.steps", names, f"fails: {reason}") from error
    if (found.shape, found.dtype) != (raw.shape, raw.dtype):
        wanted = f"must be {_dtype(raw)} {tuple(raw.shape)}, as they were"
        returned = f"makes {_dtype(found)} {tuple(found.shape)} of samples"
        raise ConfigError("augmentation.steps", names, f"{returned}; {wanted}")


def _type_fault(model: nn.Module) -> str | None:
    """Say why the model's tensors cannot be trained or travel."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return "has no parameters to train"
    for name, parameter in model.named_parameters():
        if parameter.dtype not in PARAMETERS:
            return f"has {name} in {_dtype(parameter)}; must be float32: precision=bf16 computes in bfloat16"
    layout_of(model)
    state_arrays(model)
    return None


def _output_fault(context: ExperimentContext, samples: Samples) -> str | None:
    """Say what is wrong with what the model returns: in training, and in evaluation for a single sample."""
    for count, training in ((len(samples), True), (1, False)):
        found = _logits(context, samples, count, training=training)
        wanted = (count, context.dataset.num_classes)
        if not isinstance(found, torch.Tensor):
            return f"returns a {type(found).__name__}; must be a tensor of logits {wanted}"
        if tuple(found.shape) != wanted or not found.is_floating_point():
            what = f"{count} of the {context.dataset.kind} of {context.dataset.name}"
            return f"returns {_dtype(found)} {tuple(found.shape)} for {what}; must be logits {wanted}"
    return None


@torch.no_grad()
def _logits(context: ExperimentContext, samples: Samples, count: int, *, training: bool) -> object:
    inputs, _ = samples.batch(samples.rows[:count].to(context.device), CLEAN)
    found: object = context.model.train(training)(inputs)
    return found


def _training_fault(context: ExperimentContext, samples: Samples) -> str | None:
    once = replace(context.config.client, batch_size=len(samples), local_steps=1)
    loss = Trainer(context.model, once, context.precision).train(samples, torch.Generator()).loss
    return None if math.isfinite(loss) else f"has a loss of {loss} before any weight has moved"


def _refuse_single_samples(context: ExperimentContext) -> None:
    """Raise where a client has, or is left with, a batch of a single sample."""
    model, batch_size = context.config.model[plugins.TARGET], context.config.client.batch_size
    if batch_size == 1:
        raise ConfigError("client.batch_size", 1, f"{model} cannot be trained on single samples (BatchNorm?)")
    if not isinstance(context.config.engine, SimulationConfig):
        return  # clients on other machines may have samples of their own
    for client_id, rows in enumerate(context.partition):
        if 1 in context.trainer.batch_sizes(len(rows)):
            raise ConfigError(
                "client.batch_size",
                batch_size,
                f"leaves client {client_id}, who has {len(rows)} samples, a batch of a single one, on which "
                f"{model} cannot be trained (BatchNorm?); see partition",
            )


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
