"""The report of a sweep, which takes a while to draw: made once."""

import contextlib
import io

import pytest

from tests.analysis.report.made_reports import make
from tests.analysis.report.made_runs import write_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """The report of a sweep, and of two runs of it."""
    folder = tmp_path_factory.mktemp("sweep")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        return make(folder / "page.html", said.getvalue, write_sweep(folder / "sweep"), details=2)
