"""A run that is ended for its process; the end of a real one is in `tests/engine/test_lost_engine.py`."""

from fl_backdoor.runs.run_folder import RunFolder
from fl_backdoor.runs.witness import LastWill


def test_a_run_that_has_ended_is_left_as_it_is(tmp_path, round_row, facts):
    files = RunFolder(tmp_path)
    files.start({}, [])
    files.append(round_row(server_round=0, main_task_accuracy=0.5), [])
    assert files.finish("finished", {}, facts) == "finished"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert LastWill(tmp_path, "key", [], facts).execute() == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
