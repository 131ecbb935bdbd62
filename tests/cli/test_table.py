import subprocess
import sys

import pytest

from fl_backdoor.cli.table import main
from tests.analysis.report.made_runs import write_run, write_sweep
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("module", ["table", "compare"])
def test_nothing_heavy_is_imported(module):
    program = f"import fl_backdoor.cli.{module}, sys; print(*({{'torch', 'ray', 'flwr', 'hydra', 'scipy', 'pandas'}} & set(sys.modules)))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("wanted", "begins"),
    [
        ("latex", "% needs \\usepackage{booktabs}\n\\begin{table}\n"),
        ("markdown", "CIFAR-10, 2 rounds, 4 clients. Per cent,"),
        ("csv", "strategy,attack.alpha,attack.num_malicious,seeds,main_task_accuracy_n,"),
    ],
)
def test_each_format_goes_to_stdout(tmp_path, capsys, wanted, begins):
    write_sweep(tmp_path / "sweep")
    assert main([str(tmp_path / "sweep"), "--format", wanted]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(begins)
    assert "Hybrid" in said.out
    assert said.err == ""


def test_a_figure_that_is_asked_for_has_a_column(tmp_path, capsys):
    write_run(tmp_path / "a")
    assert main([str(tmp_path), "--also", "peak_attack_success_rate", "--also", "rounds_to_open"]) == 0
    header = capsys.readouterr().out.splitlines()[2]
    assert header.endswith("| client FPR | peak ASR | rounds to open |") or header.endswith(
        "| SR | clean | peak ASR | rounds to open |"
    )
    assert main([str(tmp_path), "--also", "all"]) == 0
    assert "worst tenth of clients" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--also", "nothing"])


def test_what_cannot_be_read_is_said_on_stderr_and_the_rest_is_shown(tmp_path, capsys):
    write_run(tmp_path / "runs" / "a")
    (write_run(tmp_path / "runs" / "b", seed=1) / "clients.csv").unlink()
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "runs"), str(tmp_path / "empty"), str(tmp_path / "nowhere")]) == 0
    said = capsys.readouterr()
    assert "60.0 ± 0.0" in said.out
    empty, nowhere, clients = said.err.splitlines()
    assert "empty holds no run" in empty
    assert "nowhere: there is no such folder" in nowhere
    assert "clients.csv cannot be read" in clients


def test_nothing_to_show(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith(f"fl_backdoor: {tmp_path} holds no run")


def test_runs_that_are_damaged_throughout(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text("{")
    assert main([str(tmp_path / "a")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "config.yaml is damaged" in said.err


@pytest.mark.parametrize("command", ["table {0}", "compare {0} {0}", "compare {0} {0} --format csv"])
def test_a_reader_that_has_enough_is_no_error(tmp_path, command):
    write_run(tmp_path / "a")
    program = f"{sys.executable} -m fl_backdoor {command.format(tmp_path)} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
