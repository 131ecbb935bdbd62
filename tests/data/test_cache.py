import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fl_backdoor.core.errors import DataError
from fl_backdoor.data import cache

REPOSITORY = Path(__file__).parents[2]
ARRAYS = {
    "images": np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4),
    "labels": np.array([7, 3], dtype=np.int64),
}


def decode():
    return ARRAYS


def must_not_decode(*_):
    raise AssertionError("decoded although the cache is good")


def assert_holds_arrays(found):
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_decodes_once_and_maps_read_only(tmp_path):
    assert_holds_arrays(cache.open_or_create(tmp_path / "new" / "set-1", decode))
    again = cache.open_or_create(tmp_path / "new" / "set-1", must_not_decode)
    assert_holds_arrays(again)
    for array in again.values():
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set-1"]


def test_writes_arrays_that_are_not_contiguous(tmp_path):
    transposed = ARRAYS["images"].transpose(0, 2, 3, 1)
    found = cache.open_or_create(tmp_path / "set-1", lambda: {"images": transposed})
    np.testing.assert_array_equal(found["images"], transposed)
    assert found["images"].flags.c_contiguous


def flip_a_byte(folder):
    content = bytearray((folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (folder / "images.npy").write_bytes(content)


def shorten(folder):
    os.truncate(folder / "labels.npy", 100)


def remove_an_array(folder):
    (folder / "labels.npy").unlink()


def remove_meta(folder):
    (folder / "meta.json").unlink()


def break_meta(folder):
    (folder / "meta.json").write_text("[1, 2")


def mistake_meta(folder):
    (folder / "meta.json").write_text("[1, 2]")


def age(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": cache.FORMAT - 1}))


DAMAGES = [flip_a_byte, shorten, remove_an_array, remove_meta, break_meta, mistake_meta, age]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folder_is_made_again(tmp_path, caplog, damage):
    folder = tmp_path / "set-1"
    cache.open_or_create(folder, decode)
    damage(folder)
    assert_holds_arrays(cache.open_or_create(folder, decode))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text
    assert_holds_arrays(cache.open_or_create(folder, must_not_decode))
    assert list(tmp_path.iterdir()) == [folder]


def test_arrays_in_use_survive_that_their_folder_is_made_again(tmp_path):
    folder = tmp_path / "set-1"
    in_use = cache.open_or_create(folder, decode)
    break_meta(folder)
    cache.open_or_create(folder, decode)
    assert_holds_arrays(in_use)


def test_newest_is_the_youngest_that_is_intact(tmp_path):
    for age_rank, fingerprint in enumerate(["oldest", "middle", "youngest"]):
        cache.open_or_create(tmp_path / f"set-{fingerprint}", lambda rank=age_rank: {"x": np.array([rank])})
        os.utime(tmp_path / f"set-{fingerprint}", (age_rank, age_rank))
    cache.open_or_create(tmp_path / "other-1", decode)
    fingerprint, arrays = cache.newest(tmp_path, "set")
    assert (fingerprint, arrays["x"].tolist()) == ("youngest", [2])
    remove_meta(tmp_path / "set-youngest")
    os.utime(tmp_path / "set-youngest", (9, 9))
    fingerprint, arrays = cache.newest(tmp_path, "set")
    assert (fingerprint, arrays["x"].tolist()) == ("middle", [1])
    assert cache.newest(tmp_path, "se") is None


SIMULTANEOUS = """
import sys, time
from pathlib import Path
import numpy as np
from fl_backdoor.data import cache

folder, meeting, number, total = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def decode():
    (meeting / number).touch()
    while len(list(meeting.iterdir())) < total:
        time.sleep(0.01)
    return {"x": np.arange(100_000)}

print(int(cache.open_or_create(folder, decode)["x"].sum()))
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_that_all_decode_at_once_agree(tmp_path, damaged):
    folder, meeting = tmp_path / "cache" / "set-1", tmp_path / "meeting"
    meeting.mkdir()
    if damaged:
        cache.open_or_create(folder, decode)
        remove_meta(folder)
    total = 4
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SIMULTANEOUS, str(folder), str(meeting), str(number), str(total)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(total)
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * total
    assert printed == [str(99_999 * 100_000 // 2)] * total
    assert len(list(meeting.iterdir())) == total
    assert list(folder.parent.iterdir()) == [folder]


def test_cache_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as raised:
        cache.open_or_create(tmp_path / "file" / "set-1", decode)
    assert str(raised.value).startswith(f"dataset.cache: cannot write to {tmp_path / 'file'}")
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_cache_is_one_line_and_still_read(tmp_path):
    cache.open_or_create(tmp_path / "set-1", decode)
    tmp_path.chmod(0o555)
    try:
        assert_holds_arrays(cache.open_or_create(tmp_path / "set-1", must_not_decode))
        with pytest.raises(DataError, match=r"dataset\.cache: .*Permission denied"):
            cache.open_or_create(tmp_path / "set-2", decode)
    finally:
        tmp_path.chmod(0o755)


NO_SPACE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from fl_backdoor.data import cache
from fl_backdoor.core.errors import DataError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    cache.open_or_create(Path(sys.argv[1]) / "set-1", lambda: {"x": np.zeros(1_000_000, np.uint8)})
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", NO_SPACE, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith(f"dataset.cache: cannot write to {tmp_path} (")
    assert run.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_process_reads_files_that_did_not_change_only_once(tmp_path, monkeypatch):
    folder = tmp_path / "set-1"
    cache.open_or_create(folder, decode)
    for file in folder.glob("*.npy"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert cache.read(folder) is not None
    with monkeypatch.context() as patched:
        patched.setattr(cache.hashlib, "file_digest", must_not_decode)
        assert_holds_arrays(cache.read(folder))
    flip_a_byte(folder)
    os.utime(folder / "images.npy", (1_000_000_001, 1_000_000_001))
    assert cache.read(folder) is None
