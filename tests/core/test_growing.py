import hashlib

import pytest

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.core.growing import GrowingFile, Prefix


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_digest_is_that_of_all_that_is_there(tmp_path):
    file = GrowingFile(tmp_path / "file")
    file.begin(b"head\n")
    file.append(b"1\n")
    assert file.prefix == Prefix(7, sha256(b"head\n1\n"))
    assert file.path.read_bytes() == b"head\n1\n"


def test_it_goes_on_from_where_it_was(tmp_path):
    (tmp_path / "file").write_bytes(b"head\n1\n2,unfini")
    file = GrowingFile(tmp_path / "file")
    file.go_on(Prefix(7, sha256(b"head\n1\n")))
    assert file.path.read_bytes() == b"head\n1\n"
    file.append(b"2\n")
    assert file.prefix == Prefix(9, sha256(b"head\n1\n2\n"))


def test_another_beginning_is_left_as_it_is(tmp_path):
    (tmp_path / "file").write_bytes(b"head\n2\n3\n")
    with pytest.raises(FlBackdoorError, match="is not what the checkpoint speaks of"):
        GrowingFile(tmp_path / "file").go_on(Prefix(7, sha256(b"head\n1\n")))
    assert (tmp_path / "file").read_bytes() == b"head\n2\n3\n"
