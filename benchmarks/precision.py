"""Accuracy and ASR of whole runs in float32 and in bfloat16, over seeds.

Where bfloat16 is native the article's setting is taken, 16 rounds on CIFAR-10; elsewhere 10 rounds on the
embedded digits, since emulated bfloat16 is slow. FL_BACKDOOR_BENCHMARK_DATASET names another data set. Runs
that are on disk are not repeated: interrupt this and start it again, or delete their folder to begin anew.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.measure import Figure, Scale
from benchmarks.whole_run import REPOSITORY, data_folder
from fl_backdoor.training.precision import computes_bf16

RUNS = Path("outputs/benchmarks/precision")
SEEDS = (0, 1, 2)
PRECISIONS = ("fp32", "bf16")
QUANTITIES = ("main_task_accuracy", "attack_success_rate")


def measure(scale: Scale) -> Iterator[Figure]:
    """Run both precisions with each seed, in turns, and yield the last round's figures."""
    settings = _settings(scale)
    seeds = SEEDS[:1] if scale.small else SEEDS
    summaries = [{precision: _run(settings, precision, seed) for precision in PRECISIONS} for seed in seeds]
    for quantity in QUANTITIES:
        found = {
            precision: [float(summary[precision][quantity]) for summary in summaries]
            for precision in PRECISIONS
        }
        for precision, values in found.items():
            yield Figure(f"{_name(settings)}, {precision}", quantity, "", tuple(values))
        means = {precision: statistics.fmean(values) for precision, values in found.items()}
        yield Figure(
            f"{_name(settings)}, bf16 - fp32", f"mean {quantity}", "", (means["bf16"] - means["fp32"],)
        )


def _settings(scale: Scale) -> list[str]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    native = computes_bf16(device) and data_folder() is not None
    dataset = os.environ.get("FL_BACKDOOR_BENCHMARK_DATASET") or ("cifar10" if native else "mnist5k")
    settings = [f"dataset={dataset}", f"num_rounds={16 if native else 10}"]
    return [f"dataset={dataset}", "num_rounds=1", "client.local_steps=1"] if scale.small else settings


def _run(settings: list[str], precision: str, seed: int) -> dict[str, float]:
    folder = RUNS.absolute() / f"{_name(settings)}_{precision}_seed-{seed}"
    summary = folder / "summary.json"
    if not _is_finished(summary):
        root = [f"dataset.root={data_folder()}"] if "dataset=mnist5k" not in settings else []
        program = [sys.executable, "-m", "fl_backdoor.main", *settings, *root]
        program += [f"precision={precision}", f"seed={seed}", f"hydra.run.dir={folder}"]
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted one left
        subprocess.run(program, cwd=REPOSITORY, check=True)
    figures: dict[str, float] = json.loads(summary.read_text(encoding="utf-8"))
    return figures


def _is_finished(summary: Path) -> bool:
    return summary.exists() and json.loads(summary.read_text(encoding="utf-8"))["status"] == "finished"


def _name(settings: list[str]) -> str:
    return "_".join(setting.replace("=", "-") for setting in settings)
