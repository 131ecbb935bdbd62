"""Experiments: ``fl-backdoor run …`` is ``python -m fl_backdoor.main …``."""

import sys
from collections.abc import Sequence

from fl_backdoor import main as experiments


def main(arguments: Sequence[str]) -> int:
    """Make the runs that `arguments` ask for; the process exits with them, unless only help was asked for."""
    sys.argv = ["fl-backdoor run", *arguments]  # Hydra reads them there
    experiments.main()
    return 0
