import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from fl_backdoor.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pieces = [torch.zeros(2 << 20) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
assert keep_freed_memory() and keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_tensors_of_a_later_step_lie_in_memory_that_is_already_there():
    shown = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    pages = 20 * 4 * (8 << 20) // resource.getpagesize()
    assert int(shown.stdout) < pages / 20
