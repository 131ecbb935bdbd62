import pytest

from fl_backdoor.errors import FlBackdoorError
from fl_backdoor.results import files


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path):
    path = tmp_path / "summary.json"
    path.write_bytes(b"a longer text that stood there before")
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_one_line_and_leaves_nothing_behind(tmp_path):
    in_the_way = tmp_path / "summary.json"
    in_the_way.mkdir()
    with pytest.raises(FlBackdoorError, match=r"summary\.json cannot be written: "):
        files.replace(in_the_way, b"new")
    assert list(tmp_path.iterdir()) == [in_the_way]


def test_append_adds_to_the_end(tmp_path):
    path = tmp_path / "rounds.csv"
    files.append(path, b"1\n")
    files.append(path, b"2\n")
    assert path.read_bytes() == b"1\n2\n"


def test_append_where_there_is_no_folder_is_one_line(tmp_path):
    with pytest.raises(FlBackdoorError, match="cannot be written: No such file"):
        files.append(tmp_path / "none" / "rounds.csv", b"1\n")
