"""Files that are not what they should be: each costs its reader one line."""

import json
import os
import sys

import pytest

from fl_backdoor.core import reading, table
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs import run_tables
from fl_backdoor.runs.columns import CLIENT_COLUMNS, ROUND_COLUMNS


def refused(read, path) -> str:
    with pytest.raises(FlBackdoorError) as caught:
        read(path)
    line = str(caught.value)
    assert line.isprintable()
    assert line.startswith(f"{path} ")
    return line.removeprefix(f"{path} ")


def test_only_regular_files_and_links_to_them_are_read(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"[1]")
    (tmp_path / "link").symlink_to(file)
    assert reading.content(tmp_path / "link", 3) == b"[1]"
    assert reading.json_values(tmp_path / "link") == [1]
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    (tmp_path / "folder").mkdir()
    whys = {
        name: refused(reading.json_values, tmp_path / name)
        for name in ("fifo", "endless", "ring", "folder", "nothing")
    }
    assert whys == {
        "fifo": "cannot be read: it is no regular file",
        "endless": "cannot be read: it is no regular file",
        "ring": "cannot be read: Too many levels of symbolic links",
        "folder": "cannot be read: Is a directory",
        "nothing": "cannot be read: No such file or directory",
    }


def test_a_file_without_end_is_not_read_into_memory(tmp_path):
    for name, read in (("values", reading.yaml_values), ("table", table.read_any)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
        assert "has more than" in refused(read, tmp_path / name)


LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, 9)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a: &a\n  b: *a\n", "it refers to &a; each value must be written out"),
        (LAUGHS, "it refers to &a0"),
        (f"a: {'[' * 3000}{']' * 3000}", "it has more than 32 levels"),
        (f"{'{a: ' * 3000}1{'}' * 3000}", "it has more than 32 levels"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (f"a: {'9' * 301}", "a number in it has more than 300 digits"),
        (f"a: {'9' * 5000}", "Exceeds the limit"),
        ("? [1, 2]\n: 3", "found unhashable key"),
        ("a: [{2020-01-01: 1}]", "is no name of a value"),
        ("a: 2020-99-99", "month must be in"),
        ("a: \udce9".encode("utf-8", "surrogateescape"), "damaged"),
        (bytes(range(256)), "damaged"),
    ],
)
def test_yaml_that_would_tie_a_reader_up(tmp_path, content, why):
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert why in refused(reading.yaml_values, path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "recursion"),
        ('{"a":' + "[" * 40 + "]" * 40 + "}", "it has more than 32 levels"),
        (json.dumps({"seed": 10**400}), "a number in it has more than 300 digits"),
        ('{"a": 1', "Expecting"),
    ],
)
def test_json_that_would_tie_a_reader_up(tmp_path, content, why):
    path = tmp_path / "summary.json"
    path.write_text(content)
    assert why in refused(reading.json_values, path)


def test_what_is_as_deep_and_as_large_as_it_may_be_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"a: {'[' * 31}{'9' * 300}{']' * 31}")
    found = reading.yaml_values(path)["a"]
    for _ in range(31):
        [found] = found
    assert found == 10**300 - 1


def write(path, columns, *rows):
    filled = [dict.fromkeys(columns) | row for row in rows]
    path.write_bytes(table.header(columns) + table.lines(filled, columns))
    return path


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"server_round": "abc"}, "server_round is abc, where a whole number from 1 must be"),
        ({"server_round": 0}, "server_round is 0, where a whole number from 1 must be"),
        ({"server_round": True}, "server_round is True"),
        ({"server_round": 10**299}, "server_round is 1000"),
        ({"server_round": None}, "server_round is None"),
        ({"server_round": 1, "success_rate": -5}, "success_rate of round 1 is -5, no share in [0, 1]"),
        ({"server_round": 1, "success_rate": "=1+1"}, "success_rate of round 1 is =1+1, no share"),
    ],
)
def test_rows_of_rounds_that_cannot_be(tmp_path, cells, why):
    path = write(tmp_path / "rounds.csv", ROUND_COLUMNS, {"server_round": 0}, cells)
    assert why in refused(run_tables.rounds, path)


def test_a_client_has_a_round_and_a_number(tmp_path):
    path = write(tmp_path / "clients.csv", CLIENT_COLUMNS, {"server_round": 1, "client_id": "x"})
    assert "client_id is x, where a whole number from 0 must be" in refused(run_tables.clients, path)


@pytest.mark.parametrize("digits", [400, sys.get_int_max_str_digits() + 1])
def test_a_number_without_end_is_no_figure(digits):
    assert table.number(table.value("9" * digits)) is None
