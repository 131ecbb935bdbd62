"""Samples a second in local training on one device: three ways to take a step, one to four processes.

Each process trains one client after the other on images of its own, as a worker of a run does, and all of
them are measured in the same seconds.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Figure
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.samples import Images, images_on_device
from fl_backdoor.models.factory import build_model
from fl_backdoor.training.cuda_graph import Work
from fl_backdoor.training.precision import resolve_precision
from fl_backdoor.training.trainer import Trainer

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

IMAGE_SHAPE, NUM_CLASSES, NUM_CLIENTS = (3, 32, 32), 10, 4

Loop = Literal["eager", "CUDA graph", "torch.compile"]
LOOPS: tuple[Loop, ...] = get_args(Loop)
"""Step by step; recorded once and replayed, as the program does; step by step with a compiled model."""


@dataclass(frozen=True)
class Setting:
    """What is trained: `model` in `fl_backdoor.models`, on so many images a client, for so long at a time."""

    model: str
    loops: tuple[Loop, ...]
    batch_size: int
    num_examples: int
    seconds: float
    repeats: int


def device() -> torch.device:
    """Return what is measured: the GPU, or the processor where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rates(setting: Setting, num_workers: int, peak: float) -> Iterator[Figure]:
    """Yield for each loop the samples a second of all processes together, and their share of the `peak`."""
    context = get_context("spawn")
    barrier = context.Barrier(num_workers)
    with ProcessPoolExecutor(num_workers, context, _keep, (barrier,)) as pool:
        futures = [pool.submit(_work, setting) for _ in range(num_workers)]
        of_workers = [future.result() for future in futures]
    precision = resolve_precision("auto", device())
    of_sample = training_flops(_model(setting))
    for loop in setting.loops:
        together = tuple(sum(values) for values in zip(*(found[loop] for found in of_workers), strict=True))
        case = f"{setting.model}, batch {setting.batch_size}, {precision}, {loop}, workers: {num_workers}"
        yield Figure(case, "samples", "1/s", together)
        yield Figure(case, "share of the peak", "", tuple(rate * of_sample / peak for rate in together))


def training_flops(model: nn.Module) -> int:
    """Return the additions and multiplications of one sample's training step in convolutions and products.

    The backward pass costs two forward passes: one for the gradient of what came in, one for that of the
    weights; the first layer has only the second.
    """
    counted: list[int] = []

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        weight = layer.get_parameter("weight")
        counted.append(2 * weight.numel() * (output[0].numel() // output.shape[1]))

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    model.eval()
    with torch.inference_mode():
        model(torch.zeros(1, *IMAGE_SHAPE, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return 3 * sum(counted) - counted[0]


def matmul_rate(size: int) -> float:
    """Return the additions and multiplications a second of a product of square matrices."""
    on = device()
    dtype = torch.bfloat16 if resolve_precision("auto", on) == "bf16" else torch.float32
    matrix = torch.rand(size, size, device=on, dtype=dtype)
    times = 20

    def multiply() -> None:
        for _ in range(times):
            matrix @ matrix

    multiply()
    return times * 2 * size**3 / statistics.median(_timed(multiply) for _ in range(3))


_barrier: "Barrier"


def _keep(barrier: Any) -> None:  # noqa: ANN401 - multiprocessing's own
    global _barrier  # noqa: PLW0603 - a process has one, and it cannot travel with a task
    _barrier = barrier
    torch.set_num_threads(1)  # as a worker does


def _work(setting: Setting) -> dict[Loop, list[float]]:
    """Return this process's samples a second with each loop, a value for each repeat."""
    found: dict[Loop, list[float]] = {}
    for loop in setting.loops:
        one_client = _training(setting, loop)
        one_client()  # records, compiles, warms up
        found[loop] = [_rate(one_client, setting) for _ in range(setting.repeats)]
    return found


def _rate(one_client: Callable[[], None], setting: Setting) -> float:
    _barrier.wait()
    started, clients = time.perf_counter(), 0
    while time.perf_counter() - started < setting.seconds:
        one_client()
        clients += 1
    return clients * setting.num_examples / (time.perf_counter() - started)


def _training(setting: Setting, loop: Loop) -> Callable[[], None]:
    """Return what trains the next client for an epoch, and returns when it is done."""
    images, model = _images(setting), _model(setting)
    if loop == "torch.compile":
        model = torch.compile(model)  # type: ignore[assignment]  # a module too
    client = ClientConfig(0.05, 0.9, 0.0, setting.batch_size, 1)
    record = None if loop == "CUDA graph" else _as_it_is
    trainer = Trainer(model, client, resolve_precision("auto", device()), record)
    plan = np.arange(NUM_CLIENTS * setting.num_examples).reshape(NUM_CLIENTS, -1)
    trained = 0

    def one_client() -> None:
        nonlocal trained
        rows = plan[trained % NUM_CLIENTS]
        trainer.train(images.select(rows), torch.Generator().manual_seed(trained))
        trained += 1

    return one_client


def _as_it_is(work: Work) -> Work:
    return work


def _images(setting: Setting) -> Images:
    generator = np.random.default_rng(0)
    shape = (NUM_CLIENTS * setting.num_examples, *IMAGE_SHAPE)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    labels = generator.integers(0, NUM_CLASSES, len(pixels))
    return images_on_device(pixels, labels, (0.5,) * 3, (0.25,) * 3, device())


def _model(setting: Setting) -> nn.Module:
    spec = {"_target_": f"fl_backdoor.models.{setting.model}"}
    return build_model(spec, {"image_shape": IMAGE_SHAPE}, NUM_CLASSES, 0, device())


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
