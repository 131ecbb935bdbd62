"""Processes that work for this one: order, how far ahead they are given work, and how they end."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from fl_backdoor.core.errors import FlBackdoorError, Stopped
from fl_backdoor.federation.workers import Workers

ROOT = Path(__file__).parents[2]


def power(exponent):
    return partial(raised, exponent)


def raised(exponent, base):
    return base**exponent, os.getpid()


def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


def doing(what):
    return what


def nothing():
    pass


def test_results_come_in_order_from_other_processes():
    with closing(Workers(partial(power, 2), 2)) as workers:
        results = list(workers.map(range(20), nothing))
    assert [square for square, _ in results] == [base**2 for base in range(20)]
    assert os.getpid() not in {process for _, process in results}


def test_few_tasks_are_taken_ahead_of_time():
    taken = []
    with closing(Workers(partial(power, 2), 2)) as workers:
        results = workers.map((taken.append(base) or base for base in range(20)), nothing)
        for number, _ in enumerate(results):
            assert len(taken) <= number + 4


def test_an_error_of_a_task_is_raised_here():
    with closing(Workers(partial(power, -1), 1)) as workers, pytest.raises(ZeroDivisionError):
        list(workers.map([0], nothing))


def test_a_process_that_is_killed_is_one_clear_line():
    with (
        closing(Workers(partial(doing, kill), 1)) as workers,
        pytest.raises(FlBackdoorError, match=r"^a process .* was killed: .* memory\?$"),
    ):
        list(workers.map([0], nothing))


def test_who_waits_can_end_it_in_the_middle_of_a_task():
    def stop():
        raise Stopped("asked")

    # Otherwise this takes a day.
    with closing(Workers(partial(doing, time.sleep), 1)) as workers, pytest.raises(Stopped):
        list(workers.map([24 * 3600], stop))


def test_they_end_with_the_process_that_started_them():
    script = """
import os
from functools import partial
from tests.federation.test_workers import nothing, power
from fl_backdoor.federation.workers import Workers
if __name__ == "__main__":
    [(_, worker)] = Workers(partial(power, 2), 1).map([3], nothing)
    print(worker, flush=True)
    os.kill(os.getpid(), 9)
"""
    # Its output ends when whoever could write to it has ended.
    process = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    assert int(process.stdout) > 0
