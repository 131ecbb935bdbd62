"""What others get: the wheel, its metadata, and how the project is cited."""

import subprocess
import sys
import tomllib
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import fl_backdoor

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("clients", "conf", "fl_backdoor", "strategies")


def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    [file] = folder.glob("*.whl")
    with ZipFile(file) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    tracked = {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == tracked
    assert {"conf/config.yaml", "fl_backdoor/py.typed", "strategies/py.typed", "clients/py.typed"} <= held
    assert {Path(name).suffix for name in held} >= {".py", ".yaml", ".css", ".js"}


def test_the_metadata_name_authors_licence_and_command(wheel):
    [folder] = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = message_from_string(wheel.read(f"{folder}/METADATA").decode())
    assert metadata["Version"] == fl_backdoor.__version__
    assert metadata["Author"] == "The fl_backdoor developers"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "fl-backdoor = fl_backdoor.cli.program:program" in entry_points


def test_the_version_is_the_same_wherever_it_stands():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert project()["version"] == fl_backdoor.__version__ == citation["version"]


def test_the_citation_follows_its_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    process = subprocess.run(
        [*command, REPOSITORY / "CITATION.cff"], check=False, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout
