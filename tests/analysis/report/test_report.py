"""The command as a user starts it, on real folders."""

import csv
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from fl_backdoor.cli.report import main
from tests.analysis.report.made_reports import make
from tests.analysis.report.made_runs import write_images, write_run

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def report(tmp_path, capsys):
    return partial(make, tmp_path / "out" / "page.html", lambda: capsys.readouterr().err)


def test_the_table_by_hand(sweep):
    assert sweep.status == 0
    header, *rows = sweep.tables()["Results on CIFAR-10"]
    assert header == [
        *("defence", "attack", "accuracy", "ASR", "SR", "flagged client-rounds", "flagged clients"),
        *("seeds", "remarks"),
    ]
    by_name = {(row[0], row[1]): row[2:] for row in rows}
    # Seeds 0 to 2 differ by .01 in accuracy and .02 in ASR and SR, which are the standard deviations. Three
    # draws are all the lowest in 1 of 27 cases, more than 2.5 %: the interval goes from lowest to highest.
    assert by_name["Hybrid", "α = 0.1"] == [
        "64.0 ± 1.0\u00a0% [63.0, 65.0] baseline 65.0\u00a0%",
        "7.0 ± 2.0\u00a0% [5.0, 9.0] baseline 6.0\u00a0%",
        "14.0 ± 2.0\u00a0% [12.0, 16.0] baseline 13.0\u00a0%",
        *("–", "–"),
        "3",
        "",
    ]
    assert by_name["FedAvg", "no attack"][:3] == [
        "69.0 ± 1.0\u00a0% [68.0, 70.0]",
        "4.0 ± 2.0\u00a0% [2.0, 6.0]",
        "12.0 ± 2.0\u00a0% [10.0, 14.0]",
    ]
    assert by_name["Hybrid", "α = 0.3"][1] == "32.0 ± 2.0\u00a0% [30.0, 34.0] baseline 6.0\u00a0%"
    assert by_name["Hybrid", "α = 0.3"][-1] == "unfinished after 2 of 2 rounds"
    assert len(rows) == 6
    [line] = sweep.said
    assert line.endswith(f"page.html is written; its figures are in {sweep.files}")


def test_the_second_table_by_hand(sweep):
    header, *rows = sweep.tables()["More figures on CIFAR-10"]
    # Nothing is known of robust accuracy, of clients and of seconds; no round comes after the attack.
    assert header == ["defence", "attack", "peak ASR (%)", "late ASR (%)", "rounds to open"]
    by_name = {(row[0], row[1]): row[2:] for row in rows}
    assert by_name["FedAvg", "α = 0.1"] == ["82.0 ± 2.0", "82.0 ± 2.0", "1.0 ± 0.0"]
    assert by_name["Hybrid", "α = 0.3"] == ["32.0 ± 2.0", "32.0 ± 2.0", "–"]
    assert by_name["FedAvg", "no attack"] == ["–", "–", "–"]


def test_the_question_and_what_to_know_stand_at_the_top(sweep):
    top = sweep.page[: sweep.page.index('id="results"')]
    assert "Under Hybrid the backdoor opens in 32.0\u00a0% of triggered samples" in top
    assert "1 of 19 runs not finished: left out of all means." in top
    tables = sweep.tables()
    assert tables["What differs"] == [
        ["setting", "values"],
        ["strategy", "FedAvg, Hybrid"],
        ["attack.alpha", "0, 0.1, 0.3"],
        ["attack.num_malicious", "0, 1"],
    ]
    assert tables["What comes with each choice"][1:] == [["Hybrid", "clip_gamma = 1, iqr_k = 0.3"]]
    assert ["client.learning_rate", "0.05"] in tables["Common settings"]
    assert len(tables["All runs"]) == 20


OF_A_RUN = (
    "label_histogram",
    "update_norm_by_round",
    "mean_distance_by_round",
    "decisions_by_round",
    "detection_roc",
)


def test_every_figure_has_its_files(sweep):
    names = [part.split('"')[0] for part in sweep.page.split('data-name="')[1:]]
    assert names == [
        "sr_by_alpha",
        "asr_by_alpha",
        "accuracy_by_round",
        "asr_by_round",
        "accuracy_against_asr_1",
        "accuracy_against_asr_2",
        "attacks_by_defences",
        *(f"run1_{name}" for name in OF_A_RUN),
        *(f"run2_{name}" for name in OF_A_RUN),
    ]
    expected = {f"{name}{end}" for name in names for end in (".csv", ".png", "_3.5in.pdf", "_7in.pdf")}
    assert {path.name for path in sweep.files.iterdir()} == expected | {
        "run1_samples.png",
        "run2_samples.png",
    }
    assert '<img src="data:image/png;base64,iVBOR' in sweep.page


def test_the_same_runs_give_the_same_page(report, tmp_path):
    write_run(tmp_path / "run")
    assert report(tmp_path / "run").page == report(tmp_path / "run").page


def test_the_page_asks_no_network_for_anything(sweep):
    plotly = sweep.page[sweep.page.index("plotly.js v") : sweep.page.rindex("<script>")]
    ours = sweep.page.replace(plotly, "")
    assert "http://" not in ours
    assert "https://" not in ours
    assert "default-src &#x27;none&#x27;" in ours
    assert len(sweep.page) < 8_000_000


def test_a_single_run_and_one_seed(report, tmp_path):
    run = write_run(tmp_path / "run", clean=(0.7, 0.05, 0.1))
    made = report(run)
    assert (made.status, len(made.said)) == (0, 1)
    [row] = made.tables()["Results on CIFAR-10"][1:]
    assert row == [
        "Hybrid",
        "α = 0.1",
        "60.0\u00a0% baseline 70.0\u00a0%",
        "90.0\u00a0% baseline 5.0\u00a0%",
        "91.0\u00a0% baseline 10.0\u00a0%",
        *("–", "–"),
        "1",
        "one seed",
    ]
    assert "1 of 1 setting from one seed: differences may be chance." in made.page


def test_marks_reach_table_and_top(report, tmp_path):
    entries = {"dataset_fallback": "CIFAR-10 is not here"}
    write_run(tmp_path / "runs" / "krum", "Oracle", clean=(0.7, 0.05, 0.1), entries=entries)
    made = report(tmp_path / "runs")
    [row] = made.tables()["Results on CIFAR-10"][1:]
    assert "oracle: strategy.num_malicious = 1 is the true number of attackers" in row[-1]
    assert "not the data set that was asked for: CIFAR-10 is not here" in row[-1]
    assert "1 run on another data set than was asked for." in made.page
    assert "1 run with an oracle" in made.page


def test_two_data_sets_are_shown_apart(report, tmp_path):
    write_run(tmp_path / "runs" / "a", figures=(0.6, 0.9, 0.9))
    write_run(tmp_path / "runs" / "b", figures=(0.2, 0.1, 0.1), dataset="MNIST-5k")
    made = report(tmp_path / "runs")
    tables = made.tables()
    assert made.status == 0
    assert tables["Results on CIFAR-10"][1][2].startswith("60.0\u00a0%")
    assert tables["Results on MNIST-5k"][1][2].startswith("20.0\u00a0%")
    assert "2 data sets (CIFAR-10, MNIST-5k): shown apart, never averaged." in made.page
    assert made.notices[0] == "2 data sets (CIFAR-10, MNIST-5k): shown apart, never averaged."
    assert (made.files / "data2_figures_by_round.csv").exists()


@pytest.fixture
def good(tmp_path):
    return write_run(tmp_path / "runs" / "good")


def test_half_a_run(report, good):
    (write_run(good.parent / "half", status=None, seed=1) / "rounds.csv").unlink()
    made = report(good.parent)
    assert made.status == 0
    [_, problem] = made.said
    assert "half/rounds.csv cannot be read" in problem
    assert made.notices[0] == "1 of 2 runs not finished: left out of all means."
    assert "1 thing could not be read." in made.page
    assert "half/rounds.csv cannot be read" in made.page


def test_a_run_of_a_newer_format_is_shown_as_far_as_it_can_be_read(report, good):
    write_run(good.parent / "newer", seed=1, figures=(0.3, 0.5, 0.5), entries={"format": 99})
    made = report(good.parent)
    assert made.status == 0
    assert "has format 99, this version reads" in made.said[1]
    [row] = made.tables()["Results on CIFAR-10"][1:]
    assert row[2] == "60.0\u00a0% baseline unknown", "it is not averaged in"
    assert "unknown how it ended; 2 of 2 rounds are there" in row[-1]


@pytest.mark.parametrize(
    "content", [b"server_round,oops\n1,2\n", b"\xff\xfe\x00", b"", b'"' + b"x" * 200_000 + b'"\n']
)
def test_damaged_tables(report, good, content):
    (write_run(good.parent / "damaged", seed=1) / "clients.csv").write_bytes(content)
    made = report(good.parent)
    assert made.status == 0
    assert len(made.said) == 2
    assert "damaged/clients.csv" in made.said[1]


def test_damaged_images_and_labels(report, good):
    (good / "samples.png").write_bytes(b"<svg onload=alert(1)>")
    (good / "labels.csv").write_text("nonsense\n1\n")
    made = report(good, details=1)
    assert made.status == 0
    assert len(made.said) == 3
    assert "labels.csv is damaged" in made.said[1]
    assert "samples.png is no PNG" in made.said[2]
    assert "2 things could not be read." in made.page


def test_a_folder_without_a_run_beside_one_with(report, good, tmp_path):
    (tmp_path / "empty").mkdir()
    made = report(tmp_path / "empty", tmp_path / "missing", good)
    assert made.status == 0
    assert [line.partition(": ")[2] for line in made.said[1:]] == [
        f"{tmp_path / 'empty'} holds no run: no config.yaml, summary.json, rounds.csv in it or below",
        f"{tmp_path / 'missing'}: there is no such folder",
    ]
    assert "2 things could not be read." in made.page


WHY_NOTHING = (
    "empty holds no run: no config.yaml, summary.json, rounds.csv in it or below",
    "torn/config.yaml cannot be read: No such file or directory",
    "torn/summary.json is damaged",
    "torn holds half a run: rounds.csv and clients.csv are missing",
)


def test_nothing_to_show(report, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "summary.json").write_text("{")
    made = report(tmp_path / "empty", tmp_path / "torn")
    assert (made.status, made.page, made.files.exists()) == (2, "", False)
    assert all(line.startswith("fl_backdoor: ") for line in made.said)
    for line, reason in zip(made.said, WHY_NOTHING, strict=True):
        assert reason in line


def test_a_page_that_cannot_be_written(good, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(good), "--out", str(tmp_path / "file" / "page.html"), "--details", "0"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line


HOSTILE = "</script><script>window.broken = true</script><img src=x onerror='window.broken = true'>"


def test_texts_of_a_hostile_run_do_no_harm(report, tmp_path):
    attack = {"num_malicious": 1, "alpha": 0.1, "target_label": HOSTILE, HOSTILE: "\ud800$\\frac"}
    run = write_run(
        tmp_path / "runs" / "<b>run", entries={"strategy": HOSTILE, "command": HOSTILE}, dataset=HOSTILE
    )
    write_run(tmp_path / "runs" / "other", "Krum", attack=attack, dataset=HOSTILE)
    (run / "labels.csv").write_text(f'client_id,"{HOSTILE}"\n0,1\n')
    write_images(run)
    made = report(tmp_path / "runs", details=1)
    assert made.status == 0
    assert "window.broken" in made.page
    assert "<script>window" not in made.page
    assert "<img src=x" not in made.page
    assert "<b>run" not in made.page


REFUSES_WHAT_IS_HEAVY = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
sys.argv.insert(1, "report")
runpy.run_module("fl_backdoor", run_name="__main__", alter_sys=True)
"""

HEAVY = "torch,ray,flwr,hydra,matplotlib,pandas,plotly,scipy"


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["there_is_no_such_folder"], 2), ([], 2)]
)
def test_help_and_errors_import_nothing_heavy(tmp_path, arguments, status):
    shown = subprocess.run(
        [sys.executable, "-c", REFUSES_WHAT_IS_HEAVY, HEAVY, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == status
    assert "Traceback" not in shown.stderr


def test_a_real_multirun(report, finished_sweep):
    """The clean run is the baseline of the other, and the page has the figures that the program wrote."""
    folder = finished_sweep.folder
    made = report(folder, details=1)
    assert made.status == 0
    assert len(made.said) == 1
    clean, attacked = (last_round(next(folder.glob(f"*_alpha-{alpha}_*"))) for alpha in ("0", "0.3"))
    figures = ("main_task_accuracy", "attack_success_rate", "success_rate")
    shown = {row[1]: row[2:5] for row in made.tables()["Results on mnist5k"][1:]}
    assert shown == {
        "no attack": [in_per_cent(clean[name]) for name in figures],
        "α = 0.3": [f"{in_per_cent(attacked[name])} baseline {in_per_cent(clean[name])}" for name in figures],
    }
    assert (made.files / "run1_detection_roc.png").stat().st_size > 10_000


def last_round(run):
    with (run / "rounds.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))[-1]


def in_per_cent(share):
    return f"{100 * float(share):.1f}\u00a0%"
