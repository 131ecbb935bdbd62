"""Plug-ins that were renamed: names of runs stay, and older run folders are read under today's names."""

import pytest

from fl_backdoor.core import plugins
from fl_backdoor.core.renamed import FIRST_NAMES, with_first_names, with_todays_names
from fl_backdoor.runs import runs

TODAY = {"strategy": {"_target_": "strategies.OracleFilter", "client_ids": [1]}, "seed": 3}
FIRST = {"strategy": {"_target_": "strategies.leave_out.LeaveOut", "client_ids": [1]}, "seed": 3}


@pytest.mark.parametrize("name", FIRST_NAMES)
def test_todays_names_can_be_imported(name):
    assert plugins.resolve({"_target_": name}, "strategy").__name__ == name.rpartition(".")[2]


def test_there_and_back():
    assert with_first_names(TODAY) == FIRST
    assert with_todays_names(FIRST) == TODAY
    steps = {"steps": [{"_target_": "strategies.krum.Krum"}, {"_target_": "mine.Rule"}]}
    assert with_todays_names(steps) == {"steps": [{"_target_": "strategies.Krum"}, {"_target_": "mine.Rule"}]}


def test_what_is_no_path_of_a_plug_in_stays():
    assert with_todays_names({"note": "strategies.krum.Krum"}) == {"note": "strategies.krum.Krum"}


def test_an_older_run_is_read_under_todays_name(tmp_path):
    (tmp_path / "config.yaml").write_text("strategy:\n  _target_: strategies.leave_out.LeaveOut\nseed: 3\n")
    run = runs.read(tmp_path, tables=False)
    assert run.settings["strategy._target_"] == "strategies.OracleFilter"
    assert run.strategy == "OracleFilter"
