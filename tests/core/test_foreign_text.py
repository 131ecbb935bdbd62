"""What another machine says cannot litter a terminal, fill a file or run in a spreadsheet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_backdoor.core.foreign_text import LONGEST, cleaned


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out of memory", "out of memory"),
        ("\x1b[2J\x1b[31mred\x1b[0m \x07bell", "red bell"),
        ("\x1b]0;title\x07a window", "a window"),
        ("two\nlines\r\n and\ta tab", "two lines and a tab"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("\n=1+1", "'=1+1"),
        ("a\u202ereversed", "a reversed"),
        ("naïve café", "naïve café"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("", ""),
    ],
)
def test_known_texts(text: str, expected: str) -> None:
    assert cleaned(text) == expected


def test_a_long_text_is_cut_and_says_so() -> None:
    assert cleaned("x" * 200_000) == "x" * (LONGEST - 1) + "…"
    assert cleaned("\x1b[31m" * 100_000).endswith("…")


@given(st.text(alphabet=st.characters(), max_size=700))
def test_always_one_short_printable_line(text: str) -> None:
    line = cleaned(text)
    assert len(line) <= LONGEST
    assert line.isprintable()
    assert line[:1] not in {"=", "+", "-", "@"}
    assert cleaned(line) == line
