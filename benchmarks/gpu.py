"""Local training on a GPU: samples a second with the recorded step and with the eager loop; a sweep over α.

ResNet-18 with a 3x3 stem on images of 32x32, 10 clients a round one after the other in one process. The share
of the peak is the arithmetic of forward and backward pass, counted from the layers, over the rate of a large
product of bfloat16 matrices measured beside it. Without a GPU a small model is trained on the processor, to
show that everything works; the recorded step is the eager one there.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Figure, Scale
from benchmarks.whole_run import REPOSITORY, dataset_settings
from fl_backdoor.config.schema import ClientConfig
from fl_backdoor.data.samples import Images, images_on_device
from fl_backdoor.models.factory import build_model
from fl_backdoor.training.cuda_graph import Work
from fl_backdoor.training.precision import Precision, resolve_precision
from fl_backdoor.training.trainer import Trainer

IMAGE_SHAPE, NUM_CLASSES, NUM_CLIENTS = (3, 32, 32), 10, 10
ALPHAS = "0,0.02,0.052,0.1,0.3"


@dataclass(frozen=True)
class Setting:
    """What is trained, on what, and on how many images a client."""

    model: str
    device: torch.device
    batch_size: int
    num_examples: int
    precision: Precision


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure both loops at both batch sizes in turns, then the sweep, but for a small scale."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    small = scale.small or device.type == "cpu"
    torch.set_num_threads(1)  # as a worker does
    precision = resolve_precision("auto", device)
    peak = max(_matmul_rate(device, 1024 if small else 8192) for _ in range(scale.repeats))
    yield Figure(f"product of matrices on {device.type}", "arithmetic", "TFLOP/s", (peak / 1e12,))
    model, num_examples = ("cnn.CNN", 64 if scale.small else 320) if small else ("resnet18.resnet18", 5000)
    for batch_size in (32,) if scale.small else (32, 64):
        yield from _throughput(
            Setting(model, device, batch_size, num_examples, precision), peak, scale.repeats
        )
    if not scale.small:
        yield from _sweep(small, scale.repeats)


def _throughput(setting: Setting, peak: float, repeats: int) -> Iterator[Figure]:
    loops = {"recorded step": _round(setting, None), "eager loop": _round(setting, _eager)}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for one_round in loops.values():
        one_round()  # records, warms up
    for _ in range(repeats):
        for name, one_round in loops.items():
            seconds = _timed(one_round, setting.device)
            rates[name].append(NUM_CLIENTS * setting.num_examples / seconds)
    of_sample = training_flops(_model(setting))
    for name, values in rates.items():
        case = f"{setting.model}, batch {setting.batch_size}, {setting.precision}, {name}"
        yield Figure(case, "samples", "1/s", tuple(values))
        yield Figure(case, "share of the peak", "", tuple(value * of_sample / peak for value in values))


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


def _round(setting: Setting, record: Callable[[Work], Work] | None) -> Callable[[], None]:
    """Return a function that trains all clients for an epoch; `record` None records on a GPU."""
    images = _images(setting)
    client = ClientConfig(0.05, 0.9, 0.0, setting.batch_size, 1)
    trainer = Trainer(_model(setting), client, setting.precision, record)
    plan = np.arange(NUM_CLIENTS * setting.num_examples).reshape(NUM_CLIENTS, -1)

    def one_round() -> None:
        for client_id, rows in enumerate(plan):
            trainer.train(images.select(rows), torch.Generator().manual_seed(client_id))

    return one_round


def _eager(work: Work) -> Work:
    return work


def _images(setting: Setting) -> Images:
    generator = np.random.default_rng(0)
    shape = (NUM_CLIENTS * setting.num_examples, *IMAGE_SHAPE)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    labels = generator.integers(0, NUM_CLASSES, len(pixels))
    return images_on_device(pixels, labels, (0.5,) * 3, (0.25,) * 3, setting.device)


def _model(setting: Setting) -> nn.Module:
    spec = {"_target_": f"fl_backdoor.models.{setting.model}"}
    return build_model(spec, {"image_shape": IMAGE_SHAPE}, NUM_CLASSES, 0, setting.device)


def _matmul_rate(device: torch.device, size: int) -> float:
    """Return the additions and multiplications a second of a product of square matrices."""
    dtype = torch.bfloat16 if resolve_precision("auto", device) == "bf16" else torch.float32
    matrix = torch.ones(size, size, device=device, dtype=dtype)
    times = 20

    def multiply() -> None:
        for _ in range(times):
            matrix @ matrix

    multiply()
    return times * 2 * size**3 / statistics.median(_timed(multiply, device) for _ in range(3))


def _timed(work: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _sweep(small: bool, repeats: int) -> Iterator[Figure]:
    """Time the article's sweep over α as a user starts it, start-up included."""
    alphas = "0,0.3" if small else ALPHAS
    settings = ["dataset=mnist5k", "num_rounds=1", "client.local_steps=1"] if small else dataset_settings()
    seconds = []
    for _ in range(1 if small else repeats):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "fl_backdoor.main", "-m", f"attack.alpha={alphas}", *settings]
            started = time.perf_counter()
            subprocess.run(
                [*command, f"outputs={folder}"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - started)
    yield Figure(f"{settings[0]}, α = {alphas}", "sweep", "s", tuple(seconds))
