"""Clients that do nothing, and models that are nothing but their size: what is left is the engine.

Almost nothing: each client moves one parameter of its own, since updates that are all the same are a case
apart for distances between them.
"""

import time
from typing import Any

import torch
from flwr.app import Context, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from torch import nn

from fl_backdoor.core.report_names import NUM_STEPS, TRAIN_LOSS, TRAIN_SECONDS
from fl_backdoor.core.types import ModelArrays
from fl_backdoor.federation.client_app import answer
from fl_backdoor.federation.context import ExperimentContext
from fl_backdoor.federation.hosting import hosting
from fl_backdoor.federation.invitation import Answer, pack_answer

NUM_TENSORS = 10

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Answer for each client without training it; all the rest is as in a real run."""
    return answer(message, IdleClient)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Take part in any run."""
    here = hosting(context.node_config)
    assert here is not None
    return Message(pack_answer(Answer(here.client_ids)), reply_to=message)


class IdleClient(NumPyClient):
    """Sends back the model that it was sent, one parameter of it moved."""

    def __init__(self, context: ExperimentContext, client_id: int) -> None:
        self.client_id = client_id
        self.num_examples = len(context.partition[client_id])

    def fit(self, parameters: ModelArrays, config: dict[str, Any]) -> tuple[ModelArrays, int, dict[str, Any]]:
        """Return the global model, one parameter of its first tensor moved by 1."""
        started = time.perf_counter()
        moved = parameters[0].copy()
        moved[self.client_id] += 1
        metrics = {NUM_STEPS: 1, TRAIN_LOSS: 0.0, TRAIN_SECONDS: time.perf_counter() - started}
        return [moved, *parameters[1:]], self.num_examples, metrics


class Weight(nn.Module):
    """So many parameters in ten tensors, whose logits are its first numbers, whatever the image."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, *, num_params: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        share = num_params // NUM_TENSORS
        self.tensors = nn.ParameterList(nn.Parameter(torch.randn(share)) for _ in range(NUM_TENSORS))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the same logits for every image."""
        return self.tensors[0][: self.num_classes].expand(len(images), -1)
