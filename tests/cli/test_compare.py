import re

import pytest

from fl_backdoor.cli.compare import main
from tests.analysis.report.made_runs import write_run

LONG = "A processor with a name that is much longer than anybody would like it to be"


@pytest.fixture
def sides(tmp_path):
    for side, accuracy, precision, cpu in (("a", 0.5, "fp32", "short"), ("b", 0.75, "bf16", LONG)):
        for seed in range(3):
            write_run(
                tmp_path / side / str(seed),
                seed=seed,
                figures=(accuracy + seed / 8, 0.5, 0.5),
                precision=precision,
                entries={"hardware": {"cpu": cpu, "cores": 2}, "wall_seconds": 12345.678},
            )
    return [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.mark.parametrize("terminal", [False, True])
def test_text_fits_into_eighty_columns(sides, capsys, monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", "80")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(sides) == 0
    said = capsys.readouterr().out
    assert ("\x1b" in said) is terminal
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines()
    tables = [line for line in lines if not line.startswith(("A:", "B:"))]
    assert max(map(len, tables)) <= 80
    [accuracy] = [line for line in lines if line.startswith("accuracy")]
    found = re.split(r"\s{2,}", accuracy.strip())
    assert found == ["accuracy", "62.50 ± 12.50", "87.50 ± 12.50", "+25.00", "25.00 to 25.00", "0.25", "yes"]
    assert any(line.startswith("precision") and line.split()[1:] == ["fp32", "bf16"] for line in lines)
    assert "Larger than the spread over seeds: accuracy." in lines


def test_markdown(sides, capsys):
    assert main([*sides, "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert "\n| precision | fp32 | bf16 |\n" in said
    assert "\n| accuracy | 62.50 ± 12.50 | 87.50 ± 12.50 | +25.00 | 25.00 to 25.00 | 0.25 | yes |\n" in said
    tables = re.findall(r"(?:^\|.*\n)+", said, re.MULTILINE)
    assert [{line.count("|") for line in table.splitlines()} for table in tables] == [{4}, {8}]


def test_csv(sides, capsys):
    assert main([*sides, "--format", "csv"]) == 0
    header, accuracy, *_ = capsys.readouterr().out.splitlines()
    assert header.startswith("setting,figure,method,n_a,mean_a,")
    assert accuracy == ",main_task_accuracy,paired,3,0.625,0.125,3,0.875,0.125,0.25,0.25,0.25,0.25,true"


def test_a_problem_is_said_and_the_rest_is_shown(sides, tmp_path, capsys):
    (tmp_path / "b" / "1" / "clients.csv").write_text("what\n")
    assert main(sides) == 0
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert "clients.csv is damaged" in line
    assert "accuracy" in said.out


def test_what_cannot_be_compared_ends_with_one_line(sides, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.yaml").write_text("{")
    write_run(tmp_path / "killed", status=None)
    for name, reason in (
        ("nowhere", "there is no such folder"),
        ("empty", "holds no run"),
        ("torn", "is damaged"),
    ):
        assert main([sides[0], str(tmp_path / name)]) == 2
        said = capsys.readouterr()
        [line] = said.err.splitlines()
        assert (reason in line, said.out) == (True, "")


def test_a_side_without_a_finished_run(sides, tmp_path, capsys):
    write_run(tmp_path / "killed", precision="bf16", status=None)
    assert main([sides[0], str(tmp_path / "killed")]) == 2
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert line.endswith("nothing can be compared: no setting has a usable run on both sides")
    assert "unfinished after 2 of 2 rounds" in said.out, "what can be read is shown"


def test_a_figure_that_is_asked_for_has_a_row(tmp_path, capsys):
    for side, peak, seconds in (("a", 0.5, 1.5), ("b", 0.75, 2.0)):
        entries = {
            "peak_attack_success_rate": peak,
            "rounds_to_open": None,
            "attacking_wall_seconds": seconds,
        }
        write_run(tmp_path / side, entries=entries)
    sides = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*sides, "--also", "peak_attack_success_rate", "--also", "attacking_wall_seconds"]) == 0
    rows = [re.split(r"\s{2,}", line.strip())[:4] for line in capsys.readouterr().out.splitlines()]
    assert ["peak ASR", "50.00", "75.00", "+25.00"] in rows
    assert ["attacker (s)", "1.5", "2.0", "+0.5"] in rows
    assert main([*sides, "--also", "all"]) == 0
    said = capsys.readouterr().out
    assert "\npeak ASR" in said
    assert "\nrounds to open" not in said, "neither side knows it"
    assert main([*sides, "--format", "csv"]) == 0
    assert "\n,peak_attack_success_rate,alone,1,0.5,,1,0.75,,0.25," in capsys.readouterr().out
