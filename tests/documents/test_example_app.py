"""examples/flower_app, as its README says it is run: by Flower's simulation, and by ``flwr run``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deployment.superlinks import QUIET, SuperLink
from tests.documents.commands import REPOSITORY
from tests.drill import drill

APP = REPOSITORY / "examples" / "flower_app"
SAID = re.compile(r"(FedAvg|Hybrid): accuracy (\d+\.\d)%, ASR (\d+\.\d)%")


def ran(command: list[str], folder: Path, **environment: str) -> dict[str, tuple[float, float]]:
    """Run a command in a copy of the app's folder, and return accuracy and ASR of each strategy."""
    app = shutil.copytree(APP, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    everything = os.environ | QUIET | environment
    done = subprocess.run(
        command, cwd=app, env=everything, capture_output=True, text=True, check=False, timeout=600
    )
    found = {name: (float(accuracy), float(asr)) for name, accuracy, asr in SAID.findall(done.stdout)}
    assert list(found) == ["FedAvg", "Hybrid"], done.stdout + done.stderr
    return found


def assert_the_defence_shows(found: dict[str, tuple[float, float]]) -> None:
    # What the README prints; another CPU rounds otherwise.
    assert found["FedAvg"][0] > 85
    assert found["Hybrid"][0] > 80
    assert found["FedAvg"][1] > 95
    assert found["Hybrid"][1] < 20


def test_it_is_short_and_its_readme_prints_what_it_prints():
    assert len((APP / "backdoored_digits.py").read_text(encoding="utf-8").splitlines()) < 80
    printed = SAID.findall((APP / "README.md").read_text(encoding="utf-8"))
    assert_the_defence_shows({name: (float(accuracy), float(asr)) for name, accuracy, asr in printed})


@drill
def test_it_runs_by_run_simulation(tmp_path):
    assert_the_defence_shows(ran([sys.executable, "backdoored_digits.py"], tmp_path))


@drill
def test_it_runs_by_flwr_run(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with SuperLink(("--insecure", "--simulation"), tmp_path / "superlink") as superlink:
        connection = f'[superlink.here]\naddress = "{superlink.address}"\ninsecure = true\n'
        (home / "config.toml").write_text(f'[superlink]\ndefault = "here"\n{connection}')
        program = str(Path(sys.executable).with_name("flwr"))
        command = [program, "run", ".", "here", "--stream", "--federation-config", "num-supernodes=3"]
        assert_the_defence_shows(ran(command, tmp_path, FLWR_HOME=str(home), HOME=str(home)))
