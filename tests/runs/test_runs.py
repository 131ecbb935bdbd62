import json

import pytest
import yaml

from fl_backdoor.analysis.settings_table import tabulate
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.runs.runs import find, find_all, read
from fl_backdoor.runs.summary import FORMAT
from tests.analysis.report.made_runs import write_run


def test_a_finished_run(tmp_path):
    run = read(write_run(tmp_path / "a", "Krum", 0.1, 7, figures=(0.6, 0.9, 0.91)))
    assert (run.name, run.status, run.rounds_finished) == ("a", "finished", 2)
    assert (run.seed, run.alpha, run.attacks) == (7, 0.1, True)
    assert (run.strategy, run.dataset) == ("Krum", "CIFAR-10")
    assert run.final("main_task_accuracy") == 0.6
    assert run.final("test_loss") is None
    assert run.settings["partition.num_clients"] == 4
    assert len(run.clients) == 8
    assert (run.marks, run.problems) == ([], [])


def test_a_run_that_was_killed_in_the_middle_of_a_row(tmp_path):
    folder = write_run(tmp_path / "a", status=None)
    whole = (folder / "rounds.csv").read_bytes()
    (folder / "rounds.csv").write_bytes(whole[: whole.rindex(b"0.91")])
    run = read(folder)
    assert (run.status, run.rounds_finished) == ("unfinished", 1)
    assert run.final("success_rate") == 0.455
    assert run.attacks is True, "the clients' table tells"
    assert run.marks == ["unfinished after 1 of 2 rounds"]
    assert run.problems == []


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "rounds.csv", "clients.csv"])
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path, name):
    folder = write_run(tmp_path / "a")
    (folder / name).write_bytes(b'{"a": \xff\n')
    run = read(folder)
    [problem] = run.problems
    assert str(folder / name) in problem
    assert "\n" not in problem
    read_parts = {
        "config.yaml": run.settings,
        "summary.json": "dataset" in run.summary,
        "rounds.csv": run.rounds,
        "clients.csv": run.clients,
    }
    assert {part for part, found in read_parts.items() if not found} == {name}
    assert run.tells_anything


def test_half_a_run_is_one_line_and_its_settings_are_read(tmp_path):
    write_run(tmp_path / "half")
    for name in ("rounds.csv", "clients.csv", "summary.json"):
        (tmp_path / "half" / name).unlink()
    run = read(tmp_path / "half")
    assert run.problems == [f"{tmp_path / 'half'} holds half a run: rounds.csv and clients.csv are missing"]
    assert run.settings
    assert run.rounds == []


def test_a_run_of_a_newer_version(tmp_path):
    run = read(write_run(tmp_path / "a", entries={"format": FORMAT + 1}))
    [problem] = run.problems
    assert problem.endswith(f"has format {FORMAT + 1}, this version reads {FORMAT}: take a newer one")
    assert run.status == "unknown", "whoever cannot read the summary does not know whether the run finished"
    assert run.marks == ["unknown how it ended; 2 of 2 rounds are there"]
    assert run.final("main_task_accuracy") == 0.6, "its tables can be read"


def test_a_summary_without_format_is_one_of_the_first(tmp_path):
    folder = write_run(tmp_path / "a")
    entries = json.loads((folder / "summary.json").read_text())
    del entries["format"]
    (folder / "summary.json").write_text(json.dumps(entries))
    assert read(folder).problems == []


def test_marks(tmp_path):
    fallback = read(write_run(tmp_path / "a", entries={"dataset_fallback": "no CIFAR-10"}))
    assert fallback.marks == ["not the data set that was asked for: no CIFAR-10"]
    [oracle] = read(write_run(tmp_path / "b", "Oracle")).marks
    assert oracle.startswith("oracle: strategy.num_malicious = 1")
    [by_name] = read(write_run(tmp_path / "d", "Yardstick")).marks
    assert by_name.startswith("oracle: strategy.client_ids = [1, 3] are left out")
    assert read(write_run(tmp_path / "c", status="failed")).marks == ["failed after 2 of 2 rounds"]


def test_folders_in_the_order_of_their_names_each_once_and_hydras_own_left_out(tmp_path):
    for name in ("b", "a/inner", "a/z"):
        write_run(tmp_path / "sweep" / name)
    (tmp_path / "sweep" / "b" / ".hydra").mkdir()
    (tmp_path / "sweep" / "b" / ".hydra" / "config.yaml").write_text("a: 1")
    names = [run.name for run in find([tmp_path / "sweep"])]
    assert names == ["a/inner", "a/z", "b"]
    twice = [run.name for run in find([tmp_path / "sweep", tmp_path / "sweep" / "b"])]
    assert len(twice) == 3


def test_a_folder_that_is_not_there_and_one_without_runs(tmp_path):
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "a")
    with pytest.raises(FlBackdoorError, match="nowhere: there is no such folder"):
        find([tmp_path / "nowhere"])
    with pytest.raises(FlBackdoorError, match=r"empty holds no run: no config\.yaml"):
        find([tmp_path / "empty"])
    found, problems = find_all([tmp_path / "empty", tmp_path / "a"])
    assert [run.name for run in found] == ["a"]
    assert len(problems) == 1


def test_a_run_that_goes_on_has_the_data_set_that_others_found_under_its_settings(tmp_path):
    write_run(tmp_path / "a", dataset="mnist5k")
    write_run(tmp_path / "b", seed=1, status=None)
    assert [run.dataset for run in find([tmp_path])] == ["mnist5k", "mnist5k"]
    assert find([tmp_path / "b"])[0].dataset == "cifar10", "alone it has the one that was asked for"


def of_another_class(run, group, target):
    """Have a run's settings name another class."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(settings | {group: {"_target_": target}}))


def test_a_foreign_data_set_goes_by_its_class_until_its_name_is_known(tmp_path):
    of_another_class(write_run(tmp_path / "a", status=None), "dataset", "my_lab.sets.Letters")
    assert find([tmp_path])[0].dataset == "Letters"


def test_a_defence_that_is_called_like_another_one_is_told_with_its_module(tmp_path):
    write_run(tmp_path / "ours", "Krum")
    of_another_class(write_run(tmp_path / "theirs", "Krum"), "strategy", "my_lab.rules.Krum")
    both = find([tmp_path])
    assert [run.strategy for run in both] == ["Krum", "my_lab.rules.Krum"]
    assert [row.named["strategy"] for row in tabulate(both).rows] == ["Krum", "my_lab.rules.Krum"]
    assert find([tmp_path / "theirs"])[0].strategy == "Krum", "alone it is called what it is called"
