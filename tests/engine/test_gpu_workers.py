import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.engine.gpu_workers import GIB, gpu_workers, share_of_a_gpu


@pytest.mark.parametrize(
    ("free_gib", "cores", "participants", "expected"),
    [
        ([139], 16, 10, 8),  # a large GPU: eight are enough
        ([139], 4, 10, 4),
        ([139], 16, 3, 3),
        ([24], 16, 10, 6),  # memory for six
        ([15], 16, 10, 3),
        ([2], 16, 10, 1),  # a small one still serves one
        ([80, 80], 16, 100, 16),
        ([80, 80], 5, 100, 4),  # two on each, not three and two
        ([80, 9], 16, 100, 4),  # the fuller one decides
        ([80, 80, 80, 80], 2, 100, 2),
    ],
)
def test_memory_cores_and_participants_bound_the_workers(free_gib, cores, participants, expected):
    assert gpu_workers([size * GIB for size in free_gib], cores, participants) == expected


@pytest.mark.parametrize(
    ("workers", "gpus", "share"), [(1, 1, 1), (8, 1, 1 / 8), (16, 2, 1 / 8), (3, 2, 1 / 2), (2, 4, 1)]
)
def test_workers_get_equal_shares(workers, gpus, share):
    assert share_of_a_gpu(workers, gpus) == share


@given(st.integers(1, 64), st.integers(1, 8))
def test_shares_leave_a_place_for_every_worker(workers, gpus):
    share = share_of_a_gpu(workers, gpus)
    assert 0 < share <= 1
    assert int(1 / share + 1e-9) * gpus >= workers
