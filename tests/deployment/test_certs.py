"""The command `fl-backdoor certs`, and what it tells to copy and to start."""

import shlex
import subprocess
import sys

import pytest
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink

from fl_backdoor.cli import certs, node, register

ADDRESS = "[2001:db8::1]:8000"


def run(capsys, *arguments):
    """Return the exit code and what stands on stdout and stderr."""
    code = certs.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def commands(out):
    """Return the printed commands, split as a shell would."""
    return [shlex.split(line) for line in out.splitlines() if line.startswith("    ")]


def option(command, name):
    return command[command.index(name) + 1]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my certs"


def test_it_prints_the_commands_of_all_machines(folder, capsys):
    code, out, err = run(capsys, "--host", "server.lab", "--host", "10.0.0.1", "--nodes", 2, "--out", folder)
    environment, superlink, registration, *nodes, experiment = commands(out)
    assert (code, err) == (0, "")
    assert environment[0] == "export"
    assert superlink[0] == "flower-superlink"
    assert registration[:2] == ["fl-backdoor", "register"]
    assert [option(node, "--key") for node in nodes] == [str(folder / "node-0"), str(folder / "node-1")]
    assert [option(node, "--partition") for node in nodes] == ["0", "1"]
    assert "engine.address=server.lab:8000" in experiment
    assert f"engine.secret={folder / 'superexec.secret'}" in experiment
    assert "partition.num_clients=2" in experiment
    for command in (registration, *nodes):
        assert option(command, "--superlink") == "server.lab:8000"
        assert option(command, "--root-certificates") == str(folder / "ca.crt")


def test_no_step_asks_for_the_authority_s_key(folder, capsys):
    _, out, _ = run(capsys, "--host", "server.lab", "--nodes", 1, "--out", folder)
    mentions = [line for line in out.splitlines() if "ca.key" in line]
    assert len(mentions) == 1
    assert "no other machine" in mentions[0]


def test_flower_and_our_own_commands_take_the_printed_options(folder, capsys):
    _, out, _ = run(capsys, "--host", "server.lab", "--nodes", 2, "--out", folder)
    _, superlink, registration, *nodes, _ = commands(out)
    taken = _parse_args_run_superlink().parse_args(superlink[1:])
    assert (taken.isolation, taken.enable_supernode_auth, taken.insecure) == ("process", True, False)
    assert (taken.host, taken.port, taken.runtime_dependency_install) == ("0.0.0.0", 8000, False)
    for file in (taken.ssl_certfile, taken.ssl_keyfile, taken.superexec_auth_secret_file):
        assert (folder / file).is_file()
    for command in nodes:
        assert node._parser().parse_args(command[2:]).data == "DIR"
    taken = register._parser().parse_args(registration[2:])
    assert taken.keys == [folder / "node-0.pub", folder / "node-1.pub"]
    assert taken.partition == ["0", "1"]


def test_an_address_of_ipv6_stands_in_brackets(folder, capsys):
    _, out, _ = run(capsys, "--host", "2001:db8::1", "--nodes", 1, "--out", folder)
    _, superlink, registration, *_ = commands(out)
    assert option(superlink, "--host") == "::"
    assert option(registration, "--superlink") == ADDRESS


def test_more_nodes_print_their_own_commands_alone(folder, capsys):
    run(capsys, "--host", "server.lab", "--nodes", 1, "--out", folder)
    code, out, _ = run(capsys, "--add-nodes", 1, "--out", folder)
    registration, node = commands(out)
    assert code == 0
    assert registration[-3:] == [str(folder / "node-1.pub"), "--partition", "1"]
    assert option(node, "--partition") == "1"


def test_secret_files_that_others_can_read_are_warned_about(folder, capsys):
    _, _, err = run(capsys, "--host", "server.lab", "--nodes", 2, "--out", folder)
    assert err == ""
    (folder / "node-1").chmod(0o640)
    (folder / "ca.key").chmod(0o604)
    code, _, err = run(capsys, "--add-nodes", 1, "--out", folder)
    assert code == 0
    assert err.splitlines() == [
        f"fl_backdoor: NOTICE: {folder / name} is secret, and others can read it: chmod 600 {folder / name}"
        for name in ("ca.key", "node-1")
    ]


def test_renewal_says_until_when_and_what_to_copy(folder, capsys):
    run(capsys, "--host", "server.lab", "--nodes", 1, "--out", folder)
    code, out, _ = run(capsys, "--renew", "--days", 7, "--host", "other.lab", "--out", folder)
    assert code == 0
    assert "a server called other.lab, localhost, 127.0.0.1, ::1 until " in out
    assert f"Copy {folder / 'server.crt'} to the server and start the SuperLink again" in out


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--nodes", "1"], "--host = nothing: a name or address"),
        (["--host", "a:8000", "--nodes", "1"], "host = a:8000: an IP address, or a name"),
        (["--host", "a", "--nodes", "0"], "nodes = 0: a whole number from 1 to 1000"),
        (["--host", "a", "--nodes", "1", "--days", "-1"], "days = -1: a whole number from 1 to 3650"),
        (["--host", "a", "--add-nodes", "1"], "--host = a: with --nodes or --renew alone"),
        (["--add-nodes", "1"], "holds no authority; --host NAME --nodes N --out"),
        (["--renew"], "holds no authority"),
        (["--host", "a", "--nodes", "1", "--out", "/dev/null/certs"], "cannot be written: Not a directory"),
    ],
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(arguments, output, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert output in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_not_overwritten(folder, capsys):
    run(capsys, "--host", "a", "--nodes", 1, "--out", folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, _, err = run(capsys, "--host", "a", "--nodes", 1, "--out", folder)
    assert code == 2
    assert "--add-nodes N or --renew" in err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_help_needs_neither_cryptography_nor_flower():
    output = (
        "import sys; from fl_backdoor.cli import certs, register\n"
        "for program in (certs, register):\n"
        "    try: program.main(['--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "assert not {'cryptography', 'flwr', 'httpx', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", output], check=True, capture_output=True)
