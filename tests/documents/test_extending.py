"""The package of a user's own in docs/extending.md, exactly as it is printed there.

It lies in a folder where others have the names of our packages too, and it is run by two processes at a time.
"""

import json
import re
import subprocess
import sys
from textwrap import dedent

import pytest

from fl_backdoor.analysis.settings_table import tabulate
from fl_backdoor.runs.runs import find
from tests.documents.commands import REPOSITORY, documented
from tests.runner.test_main import environment, fill_with_our_names, run, table

FILE = re.compile(r"^    # (my_lab/\S+)\n((?:    (?!# my_lab/).*\n|\n)+)", re.MULTILINE)
SMALL = (
    *("num_rounds=1", "partition.num_clients=2", "attack.num_malicious=1", "attack.alpha=0.3"),
    *("client.local_steps=2", "precision=fp32", "hydra.sweep.dir=found"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with the package in it."""
    place = tmp_path_factory.mktemp("lab")
    fill_with_our_names(place)
    text = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(dedent(content), encoding="utf-8")
    for name in ("my_lab", "my_lab/conf"):
        (place / name / "__init__.py").touch()
    return place


def test_the_package_passes_the_checks(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_lab"]
    shown = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stdout
    assert "4 passed" in shown.stdout


@pytest.fixture(scope="module")
def sweep(folder):
    """The multirun that the document prints, smaller: its folder."""
    [printed] = [
        command for command in documented() if "hydra.searchpath=[pkg://my_lab.conf]" in command.arguments
    ]
    shown = run(folder, *printed.arguments, *SMALL)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return folder / "found"


def test_choices_name_folders_and_classes_name_figures(sweep):
    rows = {row["strategy"]: row for row in table(sweep / "sweep.csv")}
    assert rows.keys() == {"MedianNorm", "Hybrid"}
    assert rows["MedianNorm"]["run"].startswith("median_norm_alpha-0.3_seed-0_")
    assert {row["dataset"] for row in rows.values()} == {"small_digits"}
    [chosen] = [json.loads(file.read_text()) for file in sweep.glob("median_norm_*/summary.json")]
    assert (chosen["strategy"], chosen["dataset"]) == ("MedianNorm", "small_digits")
    assert [row.named["strategy"] for row in tabulate(find([sweep])).rows] == ["Hybrid", "MedianNorm"]


def test_clean_models_are_trained_with_the_same_parts(sweep):
    for row in table(sweep / "sweep.csv"):
        assert 0 <= float(row["clean_main_task_accuracy"]) <= 1
