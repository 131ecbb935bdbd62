import logging

import pytest

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.clean_baseline import CleanFigures, as_columns, lookup, register
from fl_backdoor.runs.run_folder import RunFolder

KEY = "0a1b2c3d4e5f6789"


@pytest.fixture
def folder(tmp_path, round_row):
    """Baselines that hold one run of two rounds under KEY."""
    run = RunFolder(tmp_path / "run")
    run.start({}, [])
    for server_round, accuracy in enumerate((0.1, 0.45, 1 / 3)):
        figures = {"main_task_accuracy": accuracy, "attack_success_rate": 0.02, "success_rate": 0.11}
        run.append(round_row(server_round=server_round, **figures, evaluate_seconds=3.5), [])
    register(tmp_path / "clean_baselines", KEY, run.rounds_csv)
    return tmp_path / "clean_baselines"


def test_what_was_registered_is_found_by_round(folder):
    assert lookup(folder, KEY) == {
        0: CleanFigures(0.1, 0.02, 0.11),
        1: CleanFigures(0.45, 0.02, 0.11),
        2: CleanFigures(1 / 3, 0.02, 0.11),
    }


def test_the_file_is_readable_without_this_program(folder):
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.csv"]
    assert (folder / f"{KEY}.csv").read_text() == (
        "server_round,main_task_accuracy,attack_success_rate,success_rate\n"
        "0,0.1,0.02,0.11\n1,0.45,0.02,0.11\n2,0.3333333333333333,0.02,0.11\n"
    )


def test_figures_have_the_names_of_the_tables_columns():
    assert as_columns(CleanFigures(0.5, 0.02, 0.11)) == {
        "clean_main_task_accuracy": 0.5,
        "clean_attack_success_rate": 0.02,
        "clean_success_rate": 0.11,
    }


def test_other_settings_have_no_baseline_and_no_warning(folder, caplog):
    assert lookup(folder, "ffff") is None
    assert lookup(folder / "none", KEY) is None
    assert caplog.records == []


HEADER = b"server_round,main_task_accuracy,attack_success_rate,success_rate\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"something else\n1\n",
        HEADER + b"0,0.1,0.02\n",
        HEADER + b"0,0.1,,0.11\n",
        HEADER + b"0,0.1,nan,0.11\n",
        HEADER + b"0,0.1,0.02,0.11\n2,0.1,0.02,0.11\n",
    ],
)
def test_a_damaged_file_is_ignored_with_a_warning(folder, caplog, content):
    (folder / f"{KEY}.csv").write_bytes(content)
    with caplog.at_level(logging.WARNING, "fl_backdoor"):
        assert lookup(folder, KEY) is None
    [record] = caplog.records
    assert str(folder / f"{KEY}.csv") in record.getMessage()


def test_a_run_without_tables_cannot_be_registered(tmp_path):
    with pytest.raises(FlBackdoorError, match="cannot be read"):
        register(tmp_path, KEY, tmp_path / "none.csv")
