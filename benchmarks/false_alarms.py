"""How often persistent_direction's tests are wrong on made-up federations in which nobody attacks.

Each of 10 clients has a persistent direction of its own, in so many dimensions and so strong, and noise; the
rule sees signs of deviations from the median, as in a run:

    python -m benchmarks.false_alarms --repeats 150
"""

import argparse
import math

import numpy as np
from rich.console import Console
from rich.table import Table

from strategies.persistent_direction.group_test import most_suspicious
from strategies.persistent_direction.known_differences import Known
from strategies.persistent_direction.memory import Memory
from strategies.persistent_direction.signs import deviation_signs
from strategies.persistent_direction.similarity import Similarities, similarities

NUM_CLIENTS, NUM_COORDINATES, NUM_ROUNDS = 10, 1024, 4
CASES = [(dimensions, own) for own in (0.2, 0.6) for dimensions in (10, 50, 1000)]
LEVELS = (0.05, 0.01)


def federation(seed: int, dimensions: int, own: float) -> Similarities:
    """Return how alike clients are; `own` is the length of the persistent part beside that of the noise."""
    random = np.random.default_rng(seed)
    basis = random.standard_normal((dimensions, NUM_COORDINATES)) / math.sqrt(dimensions)
    directions = own * random.standard_normal((NUM_CLIENTS, dimensions)) @ basis
    everybody = np.ones(NUM_CLIENTS, np.bool_)
    memory = Memory.empty(NUM_COORDINATES)
    for server_round in range(1, NUM_ROUNDS + 1):
        updates = (directions + random.standard_normal(directions.shape)).astype(np.float32)
        signs = deviation_signs(updates, everybody)
        memory = memory.after(server_round, np.arange(NUM_CLIENTS), signs, 16)
    return similarities(memory)


def rates(similar: list[Similarities]) -> list[str]:
    """Return the share of federations in which somebody is flagged, by each test at each level."""
    known = Known(np.ones((NUM_CLIENTS, 1)), np.ones(NUM_CLIENTS))
    found = [most_suspicious([each], known, np.random.default_rng(seed)) for seed, each in enumerate(similar)]
    probabilities = np.array([[group.probability for group in groups] for groups in found])
    return [f"{100 * np.mean(test <= level):.1f} %" for test in probabilities.T for level in LEVELS]


def main() -> None:
    """Print a row for each kind of federation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--repeats", type=int, default=150, help="federations of each kind")
    parser.add_argument("--small", action="store_true", help="two of each, to see that it works")
    asked = parser.parse_args()
    repeats = 2 if asked.small else asked.repeats
    heads = [f"{name} at {100 * level:g} %" for name in ("group", "one") for level in LEVELS]
    table = Table("dimensions", "persistent part", *heads)
    for dimensions, own in CASES:
        similar = [federation(seed, dimensions, own) for seed in range(repeats)]
        table.add_row(str(dimensions), f"{own:g}", *rates(similar))
    Console().print(table)


if __name__ == "__main__":
    main()
