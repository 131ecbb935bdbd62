"""Rows and facts of small made-up runs."""

from tests.made_rows import client_row, facts, round_row

__all__ = ["client_row", "facts", "round_row"]
