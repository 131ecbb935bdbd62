"""Work shared among threads, one a usable core, with results in a fixed order.

NumPy holds no lock while it computes, so threads are enough. Its matrix products would start threads of their
own, and how they split a sum depends on how many there are: inside the work each product runs on one thread.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from fl_backdoor.runs.environment import usable_cores

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_order(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield ``work(part)`` for each part, in the order of `parts`.

    No more than two parts a thread are begun before their turn, so that few results wait at any time.
    """
    parts = list(parts)
    num_threads = min(usable_cores(), len(parts))
    if num_threads <= 1:  # a small matrix is one part: a thread would take longer to start than to work
        with _blas().limit(limits=1, user_api="blas"):
            yield from map(work, parts)
        return
    waiting: deque[Future[Result]] = deque()
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(num_threads) as pool:
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) == 2 * num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def _blas() -> ThreadpoolController:
    # Looking for the loaded libraries takes milliseconds; NumPy's is loaded before anything here runs.
    return ThreadpoolController()
