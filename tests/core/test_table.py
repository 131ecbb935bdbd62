import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.core import table
from fl_backdoor.core.errors import FlBackdoorError

COLUMNS = ("server_round", "share", "updated", "rejected")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (np.float64("nan"), ""),
        (True, "true"),
        (np.False_, "false"),
        (3, "3"),
        (np.int64(-4), "-4"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float32(0.5), "0.5"),
        (1e-300, "1e-300"),
        (math.inf, "inf"),
        ("two\n lines", "two lines"),
    ],
)
def test_a_cell(found, text):
    assert table.cell(found) == text


def test_a_cell_of_any_length_is_read(tmp_path):
    """Older versions wrote reasons as they came; Python's own limit is 131,072 characters."""
    file = tmp_path / "clients.csv"
    rows = [{"client_id": 1, "rejected": "a " * 200_000 + "b"}]
    columns = ("client_id", "rejected")
    file.write_bytes(table.header(columns) + table.lines(rows, columns))
    assert table.read(file, columns) == rows


def test_lists_do_not_fit_in_a_cell():
    with pytest.raises(ValueError, match="not list"):
        table.cell([1])


def test_lines_by_hand():
    rows = [
        {"rejected": 'said "no", twice', "updated": False, "share": 0.25, "server_round": 1},
        {"rejected": None, "updated": True, "share": None, "server_round": 2},
    ]
    assert table.lines(rows, COLUMNS) == b'1,0.25,false,"said ""no"", twice"\n2,,true,\n'


@pytest.mark.parametrize(
    "row",
    [
        {"server_round": 1, "share": 0.5, "updated": True},
        {"server_round": 1, "share": 0.5, "updated": True, "rejected": None, "more": 1},
    ],
)
def test_a_row_has_just_the_declared_columns(row):
    with pytest.raises(ValueError, match="row lacks"):
        table.lines([row], COLUMNS)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "server_round": st.integers(-(2**60), 2**60),
                "share": st.none() | st.floats(allow_nan=False),
                "updated": st.booleans(),
                "rejected": st.none() | st.text().map("because {}".format),
            }
        )
    )
)
def test_what_was_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes(table.header(COLUMNS) + table.lines(rows, COLUMNS))
    expected = [row | {"rejected": row["rejected"] and " ".join(row["rejected"].split())} for row in rows]
    found = table.read(path, COLUMNS)
    assert found == expected
    for row, wanted in zip(found, expected, strict=True):
        assert {name: type(cell) for name, cell in row.items()} == {
            name: type(cell) for name, cell in wanted.items()
        }, "1, 1.0 and True are not the same"


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(table.header(COLUMNS) + b"1,0.5,true,\n2,0.7")
    assert table.read(path, COLUMNS) == [{"server_round": 1, "share": 0.5, "updated": True, "rejected": None}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line"),
        (b"server_round,share\n1,0.5\n", "first line"),
        (b"server_round,share,updated,rejected\n1,0.5\n", "line 2 must have 4 cells"),
        (b"\xff\n", "cannot be read"),
    ],
)
def test_a_damaged_table_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(FlBackdoorError, match=message) as caught:
        table.read(path, COLUMNS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FlBackdoorError, match=r"none\.csv cannot be read"):
        table.read(tmp_path / "none.csv", COLUMNS)


@pytest.mark.parametrize(
    ("found", "number"),
    [(1, 1), (0.5, 0.5), (True, None), (None, None), ("1", None), (math.inf, None), (math.nan, None)],
)
def test_only_finite_numbers_are_numbers(found, number):
    assert table.number(found) == number
