import threading
from contextlib import contextmanager

import pytest

from fl_backdoor.runner.display.background import Background


@contextmanager
def heeding(errors):
    try:
        yield
    except Exception as error:
        errors.append(error)


def fail():
    raise RuntimeError("no figure")


def test_everything_is_done_in_order_by_the_time_it_is_closed():
    done = []
    background = Background(lambda: heeding([]))
    for number in range(100):
        background.do(done.append, number)
    background.close()
    assert done == list(range(100))


def test_what_goes_wrong_is_reported_and_ends_nothing():
    done, errors = [], []
    background = Background(lambda: heeding(errors))
    background.do(fail)
    background.do(done.append, 1)
    background.close()
    assert [str(error) for error in errors] == ["no figure"]
    assert done == [1]


def test_a_call_that_waits_already_is_not_made_twice():
    done, go_on = [], threading.Event()
    background = Background(lambda: heeding([]))
    background.do(go_on.wait)
    for number in (1, 2, 1, 1):
        background.do(done.append, number)
    go_on.set()
    background.close()
    assert done == [1, 2]


def test_after_the_end_nothing_is_taken():
    background = Background(lambda: heeding([]))
    background.close()
    with pytest.raises(RuntimeError):
        background.do(fail)
