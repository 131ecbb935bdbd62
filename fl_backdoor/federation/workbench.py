"""What the server of an experiment tries models out with: its network, and the samples that it keeps."""

import copy
from collections.abc import Callable
from functools import partial

import torch

from fl_backdoor.config.schema import ExperimentConfig
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.core.types import ModelArrays, ParameterVector
from fl_backdoor.data.dataset import Split
from fl_backdoor.data.samples import CLEAN, Samples
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.models.factory import load_arrays, state_arrays
from strategies.torch_workbench import TorchWorkbench
from strategies.workbench import RootData


def workbench_of(config: ExperimentConfig, go_on: Callable[[], None]) -> TorchWorkbench:
    """Return the server's workbench.

    Parameters
    ----------
    config
        Checked, its data set resolved.
    go_on
        Called again and again while the server trains; may raise to end that.
    """
    context = ExperimentContext(config)
    described = TorchWorkbench(
        make_network=partial(copy.deepcopy, context.model),
        input_shape=context.dataset.sample_shape,
        num_classes=context.dataset.num_classes,
    )
    if not config.server.root_samples:
        return described
    train, rows = context.data.train, context.root_rows
    samples = context.dataset.on_device(Split(train.samples[rows], train.labels[rows]), context.device)
    inputs, labels = samples.batch(samples.rows.to(context.device), CLEAN)
    return TorchWorkbench(
        described.make_network,
        described.input_shape,
        described.num_classes,
        RootData(inputs, labels),
        partial(_local_update, ExperimentContext(config), samples, go_on),
    )


def _local_update(
    context: ExperimentContext,
    samples: Samples,
    go_on: Callable[[], None],
    model: ModelArrays,
    server_round: int,
) -> ParameterVector:
    """Train as clients do in a round, on all of the server's samples."""
    seed = integer_seed(context.config.seed, Purpose.ROOT_TRAINING, server_round)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for models that drop out at random
        load_arrays(context.model, model)
        context.begin_round(server_round)
        for _ in context.trainer.steps(samples, torch.Generator().manual_seed(seed)):
            go_on()
    return context.layout.update(state_arrays(context.model), model)
