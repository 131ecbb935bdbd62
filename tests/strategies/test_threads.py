import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from strategies.numerics import threads


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("num_parts", [0, 1, 5, 50])
def test_results_come_in_order(num_threads, num_parts, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: num_threads)
    assert list(threads.in_order(lambda part: part**2, range(num_parts))) == [n**2 for n in range(num_parts)]


def test_parts_are_worked_on_side_by_side(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 3)
    meeting = threading.Barrier(3)
    assert sorted(threads.in_order(lambda part: meeting.wait(timeout=60), range(3))) == [0, 1, 2]


def test_few_results_wait(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    begun = []
    results = threads.in_order(begun.append, range(100))
    next(results)
    assert len(begun) <= 4
    results.close()
    assert len(begun) <= 4


def test_a_failure_is_raised_where_results_are_read():
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(lambda part: 1 // part, [2, 1, 0, 3]))


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_products_inside_run_on_one_thread_and_outside_as_before():
    np.ones(2) @ np.ones(2)
    before = blas_threads()
    assert list(threads.in_order(lambda part: blas_threads(), range(2))) == [{1}, {1}]
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(lambda part: 1 // part, [0]))
    assert blas_threads() == before
