"""The same app under Flower's own programs: ``flwr run``, ``flower-superlink``, ``flower-supernode``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.federation import PATIENCE_SECONDS, REPOSITORY, SMALL, Process
from tests.deployment.hosts import HERE
from tests.deployment.simulated import assert_same_results, simulate
from tests.deployment.superlinks import QUIET, SuperLink, free_port
from tests.drill import drill

PROGRAMS = Path(sys.executable).parent
SETTINGS = ("num_rounds=1", "attack.num_malicious=0")


@pytest.fixture
def superlink(tmp_path):
    """A SuperLink that starts server apps by itself, and one SuperNode for four clients."""
    with SuperLink(
        ("--insecure", "--disable-runtime-dependency-installation"), tmp_path / "superlink"
    ) as made:
        command = [str(PROGRAMS / "flower-supernode"), "--insecure", "--superlink", made.address]
        command += ["--port", str(free_port()), "--node-config", 'partition="0,1,2,3"']
        folder = tmp_path / "supernode"
        folder.mkdir()
        node = Process(HERE, command, folder / "output.log")
        yield made
        node.kill()


@drill
def test_flwr_run_makes_the_run_of_a_simulation(superlink, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{superlink.address}"\ninsecure = true\n'
    )
    overrides = " ".join((*SMALL, *SETTINGS, f"outputs={tmp_path / 'outputs'}"))
    command = [str(PROGRAMS / "flwr"), "run", str(REPOSITORY), "here", "--stream"]
    environment = os.environ | QUIET | {"FLWR_HOME": str(home), "HOME": str(home)}
    done = subprocess.run(
        [*command, "--run-config", f'overrides="{overrides}"'],
        check=False,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    [found] = (tmp_path / "outputs").glob("flwr-run-*")
    assert "round 1/1" in said
    assert_same_results(found, simulate(tmp_path / "simulated", *SETTINGS))
