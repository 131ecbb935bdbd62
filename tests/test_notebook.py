"""Runs from a real kernel."""

import json
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.notebook import read, run

SMALL = (
    '"dataset=mnist5k", "client.local_steps=1", "partition.num_clients=2", "attack.num_malicious=1", '
    '"engine.num_workers=1"'
)
REPOSITORY = Path(__file__).parents[1]
HERE = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\nfrom fl_backdoor.notebook import run\n"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """What a kernel inherits; it looks for settings of its own in the user's home otherwise."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def test_a_cell_shows_the_rounds_and_has_the_results(tmp_path):
    cells = [
        HERE + f"results = run({SMALL}, 'num_rounds=1')",
        "import json\n"
        "print(json.dumps([str(results.path), results.summary['status'], len(results.rounds), "
        "len(results.clients), float(results.rounds.main_task_accuracy.iloc[-1])]))",
        "run('attack.alpha=2')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    shown = "".join(output.text for output in first).splitlines()
    assert [line.split()[0] for line in shown] == ["mnist5k", "round", "round", "finished:"]
    path, status, num_rounds, num_rows, accuracy = json.loads(second[0].text)
    results = read(path)
    assert (status, num_rounds, num_rows) == ("finished", 2, 2)
    assert results.summary["main_task_accuracy"] == accuracy == results.rounds.main_task_accuracy.iloc[-1]
    [error] = [output for output in third if output.output_type == "error"]
    assert error.ename == "FlBackdoorError"
    assert error.evalue == "attack.alpha = 2: must be less than or equal to 1"


def test_interrupting_the_cell_ends_the_run_cleanly(tmp_path):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    shown = ""

    def heed(message):
        nonlocal shown
        if message["msg_type"] == "stream":
            before, shown = shown, shown + message["content"]["text"]
            if "round      2/" in shown and "round      2/" not in before:
                manager.interrupt_kernel()

    try:
        code = HERE + f"run({SMALL}, 'num_rounds=100000', 'hydra.run.dir=found')"
        reply = client.execute_interactive(code, output_hook=heed, timeout=300)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    results = read(tmp_path / "found")
    assert results.summary["status"] == "stopped"
    assert results.summary["rounds_finished"] == results.rounds.server_round.iloc[-1] >= 2
    assert "interrupted; what was done so far is on disk" in shown
    assert "\x1b" not in shown


def test_a_multirun_is_refused():
    with pytest.raises(FlBackdoorError, match="makes one run"):
        run("-m", "seed=0,1")
