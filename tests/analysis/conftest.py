"""Rows and facts of small made-up runs."""

from tests.made_rows import facts, round_row, write_run

__all__ = ["facts", "round_row", "write_run"]
