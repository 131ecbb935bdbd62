"""Tests that take minutes each, and are left out unless they are asked for."""

import os

import pytest

drill = pytest.mark.skipif(
    "FL_BACKDOOR_DRILLS" not in os.environ, reason="takes minutes: FL_BACKDOOR_DRILLS=1 has it run"
)
