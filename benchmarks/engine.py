"""What the engine costs: rounds of clients that do nothing, through Flower, Ray and the strategy.

Two workers, FedAvg, everybody takes part. Time is that between the reports of two rounds; memory is the
server's largest resident size, shared memory that it has touched included, beyond what it held before.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks import idle
from benchmarks.measure import Figure, Scale
from fl_backdoor.config.schema import ExperimentConfig, parse_whole
from fl_backdoor.engine.simulation import Simulation, resources
from fl_backdoor.federation.rounds import FinishedRound, Row
from fl_backdoor.federation.server_app import Experiment
from fl_backdoor.runner.checks import check
from fl_backdoor.runner.composition import composed

CASES = [
    (10, 100_000, "auto"),
    (100, 100_000, "auto"),
    (1000, 100_000, "auto"),
    (10, 1_000_000, "auto"),
    (100, 1_000_000, "auto"),
    (100, 1_000_000, "messages"),
    (1000, 1_000_000, "auto"),
    (10, 11_000_000, "auto"),
    (100, 11_000_000, "auto"),
]
SMALL_CASES = [(10, 100_000, "auto"), (10, 100_000, "messages")]
STEADY_ROUNDS = 200


@dataclass
class Rounds:
    """When each round was reported, and what its row says."""

    reported: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)

    def on_round(self, finished: FinishedRound) -> None:
        """Take down a round."""
        self.reported.append(time.perf_counter())
        self.rows.append(finished.row)
        self.resident.append(_memory_mb("VmRSS"))

    def seconds(self) -> tuple[float, ...]:
        """Return the time of each round but the first, in which workers load the model."""
        return tuple(after - before for before, after in pairwise(self.reported[1:]))

    def column(self, name: str) -> tuple[float, ...]:
        """Return a column of the rounds' rows, without the first."""
        return tuple(float(str(row[name])) for row in self.rows[2:])


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure every case with both cores, then a long run's memory."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    simulation = Simulation(resources(_config(2, 100, "auto", 1)), idle.app)
    try:
        for case in SMALL_CASES if scale.small else CASES:
            yield from _case(simulation, *case, num_rounds=scale.repeats + 2)
        if not scale.small:
            yield from _flat(simulation)
    finally:
        simulation.close()


def _case(
    simulation: Simulation, num_clients: int, num_params: int, exchange: str, num_rounds: int
) -> Iterator[Figure]:
    before = _memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the largest size back to this one
    rounds = _run(simulation, _config(num_clients, num_params, exchange, num_rounds))
    beyond = _memory_mb("VmHWM") - before
    how = "shared memory" if exchange == "auto" else "messages"
    case = f"{num_clients} clients x {num_params / 1e6:g} M, {how}"
    yield Figure(case, "round", "s", rounds.seconds())
    yield Figure(case, "of it clients and exchange", "s", rounds.column("train_seconds"))
    yield Figure(case, "of it server", "s", rounds.column("aggregate_seconds"))
    yield Figure(case, "server memory", "MB", (beyond,))
    if num_params > 1e7:  # below, what an interpreter needs anyway is more than the models
        yield Figure(case, "server memory", "models", (beyond * 1e6 / (4 * num_params),))


def _flat(simulation: Simulation) -> Iterator[Figure]:
    """Measure how memory grows over a long run."""
    rounds = _run(simulation, _config(10, 1_000_000, "auto", STEADY_ROUNDS))
    growth = rounds.resident[-1] - rounds.resident[10]
    yield Figure(f"10 clients x 1 M, rounds 10 to {STEADY_ROUNDS}", "growth of memory", "MB", (growth,))


def _run(simulation: Simulation, config: ExperimentConfig) -> Rounds:
    experiment, rounds = Experiment(config), Rounds()
    simulation.run(lambda grid: experiment.run(grid, rounds.on_round))
    return rounds


def _config(num_clients: int, num_params: int, exchange: str, num_rounds: int) -> ExperimentConfig:
    overrides = [
        "dataset=mnist5k",
        f"partition.num_clients={num_clients}",
        f"num_rounds={num_rounds}",
        "attack=none",
        "model._target_=benchmarks.idle.Weight",
        f"+model.num_params={num_params}",
        "engine.num_workers=2",
        f"engine.exchange={exchange}",
    ]
    return check(parse_whole(next(composed(overrides)))[0]).config


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6
