"""A rule in Flower's own simulation of somebody else's app, beside Flower's FedAvg."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest


def test_hybrid_takes_the_place_of_fedavg_in_a_flower_app():
    command = [sys.executable, "-m", "tests.engine.plain_app"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    fedavg, hybrid = [
        json.loads(line.removeprefix("RESULT "))
        for line in done.stdout.splitlines()
        if line.startswith("RESULT ")
    ]
    # Clients move by 1, 1 and 10: the mean is 4 a round. Flower sums thirds in the order in which the
    # replies come in, so the last bit is not fixed.
    assert fedavg == {
        "weight": [pytest.approx(8, rel=1e-6)],
        "losses": [pytest.approx(4, rel=1e-6), pytest.approx(8, rel=1e-6)],
        "rounds": [1.0, 2.0],
    }
    # Average gradients of 1, 1 and 10: the last is suspicious, and clipped at 1, then at 1/√2.
    second = 1 + (2 + 1 / math.sqrt(2)) / 3
    assert hybrid == {
        "weight": [pytest.approx(second, rel=1e-6)],
        "losses": [1.0, pytest.approx(second, rel=1e-6)],
        "rounds": [1.0, 2.0],
    }
