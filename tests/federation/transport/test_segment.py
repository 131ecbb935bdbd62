"""Segments are shared between real processes, and none outlives those that hold it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.federation.transport.segment import LABEL, create_segment, open_segment

OWNER = """
import sys, time
from fl_backdoor.federation.transport.segment import create_segment
segment = create_segment(1 << 20)
segment.buffer[:] = 7
print(segment.address, flush=True)
sys.stdin.read()
"""


def segments_of(pid):
    """Return the mappings and descriptors of segments that a process holds."""
    maps = Path(f"/proc/{pid}/maps").read_text().count(f"memfd:{LABEL}")
    descriptors = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    return maps, sum(f"memfd:{LABEL}" in link for link in descriptors)


def test_what_one_process_writes_another_reads():
    segment = create_segment(100)
    code = f"""
from fl_backdoor.federation.transport.segment import open_segment
buffer = open_segment({segment.address!r}).buffer
assert buffer.shape == (100,) and not buffer.any()
buffer[3:5] = (1, 255)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert np.flatnonzero(segment.buffer).tolist() == [3, 4]
    assert segment.buffer[4] == 255
    segment.close()


def test_closing_frees_the_memory():
    before = segments_of(os.getpid())
    segment = create_segment(1 << 20)
    assert segments_of(os.getpid()) != before
    segment.close()
    assert segments_of(os.getpid()) == before
    segment.close()  # a second time changes nothing


def test_a_killed_owner_leaves_nothing_behind():
    """The memory lives on in who has it open, has no name by which it could stay, and cannot be reopened."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = owner.stdout.readline().strip()
    mine = open_segment(address)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert (mine.buffer == 7).all()
    mine.close()
    with pytest.raises(FlBackdoorError, match="cannot be opened"):
        open_segment(address)
    assert not list(Path("/dev/shm").glob(f"*{LABEL}*"))


@pytest.mark.parametrize("address", ["", "1/2", "../../etc/passwd", "self/3/4", "1/2/3/4", "-1/3/5"])
def test_only_addresses_are_opened(address):
    with pytest.raises(FlBackdoorError, match="is no address of shared memory"):
        open_segment(address)


def test_other_files_of_a_process_are_not_opened(tmp_path):
    other = os.open(tmp_path / f"memfd:{LABEL}", os.O_CREAT | os.O_RDWR)
    with pytest.raises(FlBackdoorError, match="is no shared memory"):
        open_segment(f"{os.getpid()}/{other}/{os.fstat(other).st_ino}")
    os.close(other)


def test_an_address_is_not_that_of_a_later_segment():
    first = create_segment(10)
    first.close()
    second = create_segment(10)
    assert first.address.split("/")[:2] == second.address.split("/")[:2], "the descriptor is used again"
    with pytest.raises(FlBackdoorError, match="is no shared memory"):
        open_segment(first.address)
    second.close()


def test_closing_frees_the_memory_of_those_who_have_it_open_too():
    segment = create_segment(1 << 20)
    other = open_segment(segment.address)
    segment.buffer[:] = 7
    assert (other.buffer == 7).all()
    segment.close()
    assert not other.buffer.any()
    other.buffer[:] = 1  # a late client: nothing happens to it, or to anybody
    other.close()


def test_more_memory_than_there_can_be_is_refused_in_one_line():
    with pytest.raises(FlBackdoorError, match=r"GB of memory .* cannot be had") as caught:
        create_segment(2**62)
    assert "\n" not in str(caught.value)
