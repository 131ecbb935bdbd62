"""Run folders that are broken or hostile, among whole ones: whatever reads many runs shows the whole ones."""

import json
import os

import pytest

from fl_backdoor.cli import compare, report, table, watch
from tests.analysis.report.made_runs import write_run


def _rewritten(name, content):
    def spoil(folder):
        (folder / name).write_bytes(content)

    return spoil


def _fifo(folder):
    (folder / "config.yaml").unlink()
    os.mkfifo(folder / "config.yaml")


def _endless(folder):
    (folder / "clients.csv").unlink()
    (folder / "clients.csv").symlink_to("/dev/zero")


def _folder(folder):
    (folder / "summary.json").unlink()
    (folder / "summary.json").mkdir()


def _last_cell(name, column, cell):
    def spoil(folder):
        header, *rows = (folder / name).read_text().splitlines()
        cells = rows[-1].split(",")
        cells[header.split(",").index(column)] = cell
        (folder / name).write_text("\n".join([header, *rows[:-1], ",".join(cells)]) + "\n")

    return spoil


SPOILED = {
    "knot": ("config.yaml", _rewritten("config.yaml", b"a: &a\n  b: *a\n")),
    "deep": ("config.yaml", _rewritten("config.yaml", b"a: " + b"[" * 3000 + b"]" * 3000)),
    "python": ("config.yaml", _rewritten("config.yaml", b"a: !!python/object/apply:os.system [ls]")),
    "deep_json": ("summary.json", _rewritten("summary.json", b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}")),
    "huge": ("summary.json", _rewritten("summary.json", json.dumps({"seed": 10**400}).encode())),
    "binary": ("rounds.csv", _rewritten("rounds.csv", bytes(range(256)) * 20)),
    "fifo": ("config.yaml", _fifo),
    "endless": ("clients.csv", _endless),
    "folder": ("summary.json", _folder),
    "far_round": ("rounds.csv", _last_cell("rounds.csv", "server_round", "9" * 300)),
    "named_round": ("rounds.csv", _last_cell("rounds.csv", "server_round", "abc")),
    "no_share": ("rounds.csv", _last_cell("rounds.csv", "success_rate", "1e999")),
    "named_client": ("clients.csv", _last_cell("clients.csv", "client_id", "\x1b[31m=1+1")),
}


@pytest.fixture
def runs(tmp_path):
    for name, (_, spoil) in SPOILED.items():
        spoil(write_run(tmp_path / "runs" / name))
    write_run(tmp_path / "runs" / "whole")
    # Neither is a name that any terminal or file can take.
    write_run(tmp_path / "runs" / os.fsdecode(b"caf\xe9 \x1b[31m red"), seed=1)
    return tmp_path / "runs"


@pytest.mark.parametrize("command", ["table", "compare", "report", "watch"])
def test_each_costs_a_line_and_the_others_are_shown(runs, tmp_path, capfd, command):
    folder = str(runs)
    code = {
        "table": lambda: table.main([folder]),
        "compare": lambda: compare.main([folder, str(runs / "whole")]),
        "report": lambda: report.main([folder, "--out", str(tmp_path / "report.html")]),
        "watch": lambda: watch.main(["--once", folder]),
    }[command]()
    said = capfd.readouterr()
    lines = (said.out + said.err).splitlines()
    assert code == (1 if command == "watch" else 0)
    for name, (file, _) in SPOILED.items():
        assert len([line for line in lines if f"/{name}/{file} " in line]) == 1, name
    assert not any("\x1b[31m red" in line for line in lines)
    shown = (tmp_path / "report.html").read_text() if command == "report" else said.out
    assert "60.0" in shown or "60.00" in shown
