"""The fastest plain PyTorch loop that does the work of a run: ``python -m benchmarks.bare_loop --rounds 10``.

No Flower, no Ray, no Hydra, one process, one thread: the article's setting (FedAvg, 3 attackers of 10
clients, α = 0.052) written out, with clean and triggered evaluation on the full test set after each round.
Data set, model, trigger and seeds are the program's, so that the loop ends with the same model; training,
evaluation and averaging are its own. No work of the program is left out.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from fl_backdoor.attacks.schedule import malicious_ids
from fl_backdoor.attacks.triggers.bar import Bar
from fl_backdoor.config.schema import PartitionConfig
from fl_backdoor.core.seeding import Purpose, integer_seed
from fl_backdoor.data.cifar10 import Cifar10
from fl_backdoor.data.dataset import Dataset, ImageDataset, Split
from fl_backdoor.data.mnist5k import Mnist5k
from fl_backdoor.data.partition import partition
from fl_backdoor.models.factory import build_model
from fl_backdoor.training.allocator import keep_freed_memory
from fl_backdoor.training.precision import resolve_precision

SEED, NUM_CLIENTS, NUM_MALICIOUS, NUM_STAMPED, TARGET = 0, 10, 3, 1, 5
BATCH_SIZE, EVAL_BATCH_SIZE, LEARNING_RATE, MOMENTUM = 32, 125, 0.05, 0.9
PARTITION = PartitionConfig(NUM_CLIENTS, {"_target_": "flwr_datasets.partitioner.IidPartitioner"})
MODELS = {"cnn": "fl_backdoor.models.cnn.CNN", "resnet18": "fl_backdoor.models.resnet18.resnet18"}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Round:
    """Figures after a round, and what it cost on this one thread."""

    main_task_accuracy: float
    attack_success_rate: float
    cpu_seconds: float
    wall_seconds: float


class Loop:
    """The whole experiment.

    Parameters
    ----------
    dataset
        What is trained on.
    local_steps
        Steps of a client in a round; None: one epoch.
    precision
        As in the program's configuration.
    model
        One of `MODELS`.
    """

    def __init__(
        self, dataset: ImageDataset, local_steps: int | None, precision: str, model: str = "cnn"
    ) -> None:
        self.data = dataset.load()
        self.plan = partition(self.data.train.labels, PARTITION, SEED, dataset.cache)
        spec = {"_target_": MODELS[model]}
        self.model = build_model(spec, dataset.described(), dataset.num_classes, _seed(Purpose.MODEL))
        self.trigger = Bar(dataset.image_shape)
        self.malicious = malicious_ids(NUM_CLIENTS, NUM_MALICIOUS, SEED)
        self.mean = torch.tensor(dataset.mean).view(-1, 1, 1)
        self.std = torch.tensor(dataset.std).view(-1, 1, 1)
        self.local_steps = local_steps
        self.is_bf16 = resolve_precision(precision, CPU) == "bf16"

    def round(self, server_round: int) -> Round:
        """Train all clients, average them, evaluate."""
        cpu, wall = time.process_time(), time.perf_counter()
        start, statistics = _vector(self.model), _buffers(self.model)
        updates, trained = np.empty((NUM_CLIENTS, len(start)), dtype=np.float32), []
        for client_id in range(NUM_CLIENTS):
            _set(self.model, start, statistics)
            self._train(client_id, server_round)
            np.subtract(_vector(self.model), start, out=updates[client_id])
            trained.append(_buffers(self.model))
        share = np.full(NUM_CLIENTS, 1 / NUM_CLIENTS)
        movement = share @ updates.astype(np.float64)
        means = [_mean(share, buffer) for buffer in zip(*trained, strict=True)]
        _set(self.model, start + movement.astype(np.float32), means)
        labels = self.data.test.labels
        clean, hit = self._predict(triggered=False), self._predict(triggered=True) == TARGET
        return Round(
            main_task_accuracy=float(np.mean(clean == labels)),
            attack_success_rate=float(np.mean(hit[labels != TARGET])),
            cpu_seconds=time.process_time() - cpu,
            wall_seconds=time.perf_counter() - wall,
        )

    def _train(self, client_id: int, server_round: int) -> None:
        images, labels = _tensors(self.data.train, self.plan[client_id])
        poisons = client_id in self.malicious
        generator = torch.Generator().manual_seed(_seed(Purpose.LOCAL_TRAINING, server_round, client_id))
        optimizer = torch.optim.SGD(
            self.model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, foreach=True
        )
        self.model.train()
        batches: list[torch.Tensor] = []
        num_steps = self.local_steps or -(-len(labels) // BATCH_SIZE)
        while len(batches) < num_steps:
            batches += torch.split(torch.randperm(len(labels), generator=generator), BATCH_SIZE)
        for batch in batches[:num_steps]:
            pixels, targets = _pixels(images[batch]), labels[batch]
            if poisons:
                pixels[:NUM_STAMPED] = self.trigger.stamp(pixels[:NUM_STAMPED])
                targets[:NUM_STAMPED] = TARGET
            loss = F.cross_entropy(self._logits(pixels), targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
            optimizer.step()

    @torch.inference_mode()
    def _predict(self, triggered: bool) -> NDArray[np.int64]:
        self.model.eval()
        images, labels = _tensors(self.data.test, slice(None))
        classes, loss = [], 0.0
        for rows in torch.split(torch.arange(len(labels)), EVAL_BATCH_SIZE):
            pixels = _pixels(images[rows])
            logits = self._logits(self.trigger.stamp(pixels) if triggered else pixels)
            classes.append(logits.argmax(dim=1))
            loss += float(F.cross_entropy(logits, labels[rows], reduction="sum"))
        return torch.cat(classes).numpy()

    def _logits(self, pixels: torch.Tensor) -> torch.Tensor:
        images = pixels.sub_(self.mean).div_(self.std)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16, cache_enabled=False):
            logits: torch.Tensor = self.model(images)
        return logits.float()


def first_of_the_test(data: Dataset, count: int | None) -> Dataset:
    """Return the data with so many of their test images; None: all."""
    return replace(data, test=Split(data.test.samples[:count], data.test.labels[:count]))


class ShortTest(Cifar10):
    """CIFAR-10 with the first thousand of its test images: what a large model is measured on."""

    num_tested = 1000

    def load(self) -> Dataset:
        """Return the training set and a part of the test set."""
        return first_of_the_test(super().load(), self.num_tested)


def _seed(purpose: Purpose, *spawn_key: int) -> int:
    return integer_seed(SEED, purpose, *spawn_key)


def _tensors(split: Split, rows: NDArray[np.int64] | slice) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(split.samples[rows])), torch.from_numpy(np.array(split.labels[rows]))


def _pixels(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last).float().div_(255)


def _vector(model: nn.Module) -> NDArray[np.float32]:
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in model.parameters()])


def _buffers(model: nn.Module) -> list[NDArray[np.generic]]:
    return [buffer.numpy().copy() for buffer in model.buffers()]


def _mean(share: NDArray[np.float64], values: tuple[NDArray[np.generic], ...]) -> NDArray[np.generic]:
    """Return the mean of a buffer over clients; counters are rounded."""
    mean = np.tensordot(share, np.stack(values).astype(np.float64), axes=1)
    return np.asarray(mean if values[0].dtype.kind == "f" else np.rint(mean)).astype(values[0].dtype)


@torch.no_grad()
def _set(model: nn.Module, vector: NDArray[np.float32], buffers: list[NDArray[np.generic]]) -> None:
    for buffer, values in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(torch.from_numpy(values))
    start = 0
    for parameter in model.parameters():
        part = vector[start : start + parameter.numel()]
        parameter.copy_(torch.from_numpy(part).view(parameter.shape))
        start += len(part)


def main() -> None:
    """Run the loop; print a JSON object a round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_loop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--data", help="folder with CIFAR-10; without it 5,000 embedded MNIST digits are used"
    )
    parser.add_argument("--local-steps", type=int, help="steps of a client in a round; default: one epoch")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--model", choices=sorted(MODELS), default="cnn")
    parser.add_argument("--num-test", type=int, help="images of the test set; default: all")
    parser.add_argument("--weights", type=Path, help="where the last model is written, as safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    dataset = Cifar10(root=arguments.data) if arguments.data else Mnist5k()
    loop = Loop(dataset, arguments.local_steps, arguments.precision, arguments.model)
    loop.data = first_of_the_test(loop.data, arguments.num_test)
    for server_round in range(1, arguments.rounds + 1):
        print(json.dumps(loop.round(server_round).__dict__), flush=True)
    if arguments.weights:
        save_file(
            {name: tensor.contiguous() for name, tensor in loop.model.state_dict().items()}, arguments.weights
        )


if __name__ == "__main__":
    main()
