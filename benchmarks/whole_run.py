"""A whole run of the program beside the bare loop that does the same work; they take turns.

Both are measured from the end of the first round to the end of the last: start-up, and the first round in
which workers load what they need, are left out. CPU time of the program is that of all its processes, Ray's
among them. The bare loop has one core and one thread.
"""

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks.measure import Figure, Scale
from benchmarks.processes import usage
from fl_backdoor.runs.environment import usable_cores

REPOSITORY = Path(__file__).parents[1]
ROUND = re.compile(r"round\s+(\d+)/")
FIGURES = ("main_task_accuracy", "attack_success_rate")


@dataclass(frozen=True)
class Cost:
    """Seconds a round, figures after each round, and the last model."""

    cpu: float
    wall: float
    figures: list[tuple[float, ...]]
    model: dict[str, np.ndarray]


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure both, and compare what they came to."""
    rounds, steps = (3, 5) if scale.small else (10, None)
    pairs = []
    for _ in range(scale.repeats):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append((_program(Path(folder), rounds, steps), _bare_loop(Path(folder), rounds, steps)))
    where = "CIFAR-10" if data_folder() else "5,000 MNIST digits"
    for place, name in enumerate((f"program, {usable_cores()} cores", "bare loop, 1 core")):
        case = f"{where}, {rounds} rounds, {name}"
        yield Figure(case, "CPU time a round", "s", tuple(pair[place].cpu for pair in pairs))
        yield Figure(case, "wall time a round", "s", tuple(pair[place].wall for pair in pairs))
    case = "program / bare loop"
    yield Figure(case, "CPU time", "", tuple(program.cpu / bare.cpu for program, bare in pairs))
    yield Figure(case, "wall time", "", tuple(program.wall / bare.wall for program, bare in pairs))
    yield Figure(case, "largest difference of a figure", "", tuple(_figures_apart(*pair) for pair in pairs))
    yield Figure(case, "largest difference of a weight", "", tuple(_models_apart(*pair) for pair in pairs))


def data_folder() -> Path | None:
    """Return the folder with real data, or None."""
    folder = Path(os.environ.get("FL_BACKDOOR_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def dataset_settings() -> list[str]:
    """Return the program's arguments that name the data set."""
    folder = data_folder()
    return ["dataset=cifar10", f"dataset.root={folder}"] if folder else ["dataset=mnist5k"]


def _program(folder: Path, rounds: int, steps: int | None) -> Cost:
    run = folder / "run"
    settings = [*dataset_settings(), f"num_rounds={rounds}", f"hydra.run.dir={run}", f"outputs={folder}"]
    if steps:
        settings.append(f"client.local_steps={steps}")
    marks = []
    with _started("fl_backdoor.main", *settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = ROUND.match(line)
            if found and int(found[1]) in {1, rounds}:
                marks.append((usage(process.pid).cpu_seconds, time.perf_counter()))
    if process.returncode != 0:
        raise RuntimeError(f"the program failed with settings {settings}")
    with (run / "rounds.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[1:]
    figures = [tuple(float(row[name]) for name in FIGURES) for row in rows]
    (cpu_before, before), (cpu_after, after) = marks
    model = load_file(run / "model.safetensors")
    return Cost((cpu_after - cpu_before) / (rounds - 1), (after - before) / (rounds - 1), figures, model)


def _bare_loop(folder: Path, rounds: int, steps: int | None) -> Cost:
    model = folder / "bare.safetensors"
    settings = [f"--rounds={rounds}", f"--model={model}"]
    settings += [f"--data={data_folder()}"] if data_folder() else []
    settings += [f"--local-steps={steps}"] if steps else []
    with _started("benchmarks.bare_loop", *settings) as process:
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        assert process.stdout is not None
        told = [json.loads(line) for line in process.stdout]
    figures = [tuple(each[name] for name in FIGURES) for each in told]
    cpu, wall = (
        float(np.mean([each[name] for each in told[1:]])) for name in ("cpu_seconds", "wall_seconds")
    )
    return Cost(cpu, wall, figures, load_file(model))


def _started(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"} if module == "benchmarks.bare_loop" else None,
    )


def _figures_apart(program: Cost, bare: Cost) -> float:
    return float(np.abs(np.array(program.figures) - np.array(bare.figures)).max())


def _models_apart(program: Cost, bare: Cost) -> float:
    return max(float(np.abs(program.model[name] - weights).max()) for name, weights in bare.model.items())
