"""What the benchmark on a GPU does without one, and without Flower and Ray; rates are run with the others."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from benchmarks.training_rate import training_flops
from tests.drill import drill

REPOSITORY = Path(__file__).parents[2]
ROUNDS = """
import sys, time

from tests.drill import drill
for name in ("flwr", "flwr_datasets", "ray"):
    sys.modules[name] = None  # not installed
import benchmarks.gpu
from benchmarks.published_rounds import measure
for figure in measure(small=True, ends=time.monotonic() + 600):
    print(figure.case, figure.quantity, len(figure.values), figure.values[0], sep="|")
"""


@drill
def test_rounds_of_the_published_table_need_no_flower():
    environment = {"FL_BACKDOOR_DATA": "/nowhere", "PATH": "", "HOME": str(Path.home())}
    program = [sys.executable, "-c", ROUNDS]
    shown = subprocess.run(
        program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert shown.returncode == 0, shown.stderr
    lines = [line.split("|") for line in shown.stdout.splitlines()]
    case = "Lockdown's table 4, FedAvg, p = 0.5, IID, on noise"
    assert [line[:3] for line in lines] == [
        [f"{case}, after round 2", "accuracy", "1"],
        [f"{case}, after round 2", "ASR", "1"],
        [case, "a round of 4 clients", "2"],
    ]
    assert all(0 <= float(line[3]) <= 100 for line in lines[:2])
    assert float(lines[2][3]) > 0


def test_arithmetic_is_counted_as_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4096, 10))
    first, last = 2 * 3 * 4 * 9 * 32 * 32, 2 * 4096 * 10
    assert training_flops(model) == 2 * first + 3 * last
    assert not any(module._forward_hooks for module in model.modules())
    assert isinstance(model(torch.zeros(1, 3, 32, 32)), torch.Tensor)
