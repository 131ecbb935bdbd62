"""What every schedule of the learning rate must satisfy."""

import math
from collections.abc import Callable

from fl_backdoor.training.lr_schedules.base import LRSchedule


def check_lr_schedule(build: Callable[[], LRSchedule], num_rounds: int = 100) -> None:
    """See that each round has a factor over 0, the same for server and clients, in whatever order they ask.

    Parameters
    ----------
    build
        Makes the schedule anew, as another process would.
    num_rounds
        Of the run.

    Raises
    ------
    AssertionError
        If it does not.
    """
    rounds = range(1, num_rounds + 1)
    server = build()
    factors = [server.factor(server_round, num_rounds) for server_round in rounds]
    for server_round, factor in zip(rounds, factors, strict=True):
        assert isinstance(factor, float), f"round {server_round} has {factor!r}, no float"
        assert 0 < factor < math.inf, f"round {server_round} has {factor}: no learning rate"
    client = build()
    asked = [client.factor(server_round, num_rounds) for server_round in reversed(rounds)]
    assert asked[::-1] == factors, "a round's factor depends on the rounds that were asked for before"
