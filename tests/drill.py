"""Tests that take long, and are left out unless they are asked for."""

import os

import pytest

drill = pytest.mark.skipif(
    "FL_BACKDOOR_DRILLS" not in os.environ, reason="takes long: FL_BACKDOOR_DRILLS=1 has it run"
)
