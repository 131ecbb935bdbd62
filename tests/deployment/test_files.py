"""The files in docs/deployment: programs take them, and they say what the printed commands say."""

import os
import shlex
import shutil
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink

from fl_backdoor.cli import certs as certs_program
from fl_backdoor.cli import node, register
from fl_backdoor.engine.deployment import authority
from fl_backdoor.engine.deployment.instructions import superlink_flags

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "docs" / "deployment"
INSTALLED = "/opt/fl_backdoor/.venv/bin/"
HERE = f"{Path(sys.executable).parent}/"


def environment(name):
    lines = (FOLDER / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit_command(unit, variables):
    """Return what systemd would start, without the program's folder."""
    text = (FOLDER / unit).read_text().replace("\\\n", " ")
    key = "ExecStart="
    [command] = [line.removeprefix(key) for line in text.splitlines() if line.startswith(key)]
    return shlex.split(string.Template(command.removeprefix(INSTALLED)).substitute(variables))


def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def as_superlink_takes(arguments):
    """Return what Flower makes of a command line, file names without their folders."""
    taken = vars(_parse_args_run_superlink().parse_args(arguments))
    return {name: Path(value).name if isinstance(value, str) else value for name, value in taken.items()}


@pytest.fixture(scope="module")
def as_instructed():
    return as_superlink_takes([*superlink_flags(Path("certs")), "--host", "0.0.0.0", "--port", "8000"])


def test_the_unit_starts_the_superlink_that_the_instructions_start(as_instructed):
    variables = environment("superlink.env") | {"CREDENTIALS_DIRECTORY": "/run/credentials"}
    command = unit_command("superlink.service", variables)
    assert command[0] == "flower-superlink"
    assert as_superlink_takes(command[1:]) == as_instructed


def test_the_container_starts_the_superlink_that_the_instructions_start(as_instructed):
    assert as_superlink_takes(compose()["services"]["superlink"]["command"]) == as_instructed


def test_unit_and_container_start_the_same_node_from_its_own_files():
    variables = environment("node.env") | {"CREDENTIALS_DIRECTORY": "/run/secrets", "DATA": "/data"}
    program, *unit = unit_command("node@.service", variables)
    assert (program, unit[0]) == ("fl-backdoor", "node")
    inside = [
        option.replace("${NODE:-0}", "%i").replace("${SUPERLINK:-server.lab:8000}", variables["SUPERLINK"])
        for option in compose()["services"]["node"]["command"]
    ]
    taken = node._parser().parse_args(unit[1:])
    assert taken == node._parser().parse_args(inside)
    assert (taken.partition, taken.key, taken.insecure) == ("%i", "/run/secrets/node.key", "no")


@pytest.mark.parametrize("name", ["superlink.env", "node.env"])
def test_nobody_calls_home(name):
    assert environment(name)["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment(name)["FLWR_DISABLE_UPDATE_CHECK"] == "1"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("unit", ["superlink.service", "node@.service"])
def test_systemd_takes_the_units(unit, tmp_path):
    copy = tmp_path / unit.replace("@", "@3")
    copy.write_text((FOLDER / unit).read_text().replace(INSTALLED, HERE))
    process = subprocess.run(["systemd-analyze", "verify", copy], check=False, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_the_compose_file_follows_the_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    process = subprocess.run(
        [*command, FOLDER / "compose.yaml"], check=False, capture_output=True, text=True, env=os.environ
    )
    assert process.returncode == 0, process.stdout


def test_containers_get_the_files_of_an_authority_but_never_its_key(certs):
    content = compose()
    files = {name: secret["file"].replace("${NODE:-0}", "0") for name, secret in content["secrets"].items()}
    assert all((certs.parent / file).is_file() for file in files.values())
    assert authority.AUTHORITY_KEY not in {Path(file).name for file in files.values()}
    for service in content["services"].values():
        assert set(service["secrets"]) <= set(files)
        named = [part for option in service["command"] for part in option.split("=")[1:]]
        wanted = {Path(part).name for part in named if part.startswith("/run/secrets/")}
        assert wanted == set(service["secrets"])


def test_containers_run_without_rights():
    for service in compose()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_container_s_health_check_asks_a_real_superlink(certs, secured):
    kind, program, *arguments = compose()["services"]["superlink"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    arguments = [
        argument.replace("/run/secrets", str(certs)).replace(":8000/", f":{secured.port}/")
        for argument in arguments
    ]
    subprocess.run([sys.executable, *arguments], check=True)
    elsewhere = [argument.replace("/health", "/nothing") for argument in arguments]
    assert subprocess.run([sys.executable, *elsewhere], check=False, capture_output=True).returncode != 0


def test_the_images_copy_what_the_package_consists_of_and_end_as_nobody_special():
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    sources = {source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]}
    assert all((REPOSITORY / source).exists() for source in sources)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= sources
    _, _, *finished = "\n".join(lines).split("\nFROM ")
    assert len(finished) == 2
    assert all("\nUSER fl_backdoor\n" in stage for stage in finished)
    assert {service["build"]["target"] for service in compose()["services"].values()} == {"superlink", "node"}


def documented(module):
    """Return the arguments of each call of this module's command in docs/deployment.md."""
    text = (FOLDER.parent / "deployment.md").read_text().replace("\\\n", " ")
    command = f"fl-backdoor {module.__name__.rpartition('.')[2]} "
    found = [line.split(command)[1:] for line in text.splitlines() if line.startswith("    ")]
    return [shlex.split(after[0], comments=True) for after in found if after]


@pytest.mark.parametrize(("module", "number"), [(certs_program, 4), (register, 2)])
def test_the_commands_in_the_text_are_taken(module, number):
    commands = documented(module)
    assert len(commands) == number
    for arguments in commands:
        module._parser().parse_args(arguments)


@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables are not on this machine")
def test_the_firewall_s_rules_are_taken():
    command = ["unshare", "--net", "nft", "--check", "--file", FOLDER / "nftables.conf"]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    if "Operation not permitted" in process.stderr:
        pytest.skip("this user may not make network namespaces")
    assert (process.returncode, process.stderr) == (0, "")
