"""The command `fl-backdoor register`, against a real SuperLink."""

import re

import pytest

from fl_backdoor.cli import register
from fl_backdoor.engine.deployment import authority, certificates, key_files
from tests.deployment.superlinks import free_port

ANY = "any client that nobody else hosts"


def run(capsys, superlink, root, *keys):
    address = getattr(superlink, "address", superlink)
    arguments = ["--superlink", address, "--root-certificates", str(root), *map(str, keys)]
    code = register.main(arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_a_key_is_registered_once_and_removed_for_good(certs, secured, capsys):
    root, key = certs / "ca.crt", certs / "node-3.pub"
    code, out, _ = run(capsys, secured, root, key)
    number = re.fullmatch(rf"{key}: registered as node (\d+), for {ANY}\n", out)[1]
    assert code == 0
    assert run(capsys, secured, root, key) == (
        0,
        f"{key}: registered already, as node {number}, for {ANY}\n",
        "",
    )
    assert run(capsys, secured, root, "--remove", key) == (0, f"{key}: removed, was node {number}\n", "")
    assert run(capsys, secured, root, "--remove", key) == (0, f"{key}: not registered\n", "")
    code, out, err = run(capsys, secured, root, key)
    assert (code, out) == (2, "")
    assert "node-3 was removed from this SuperLink for good: the node needs a new key" in err


def new_public_keys(folder, *names):
    """Write public keys that no SuperLink knows."""
    for name in names:
        content = key_files.node_public_bytes(certificates.new_key(), name)
        key_files.write_new(folder / f"{name}.pub", content, key_files.PUBLIC)
    return [folder / f"{name}.pub" for name in names]


def test_a_key_is_registered_for_its_clients_and_no_other_key_for_the_same(certs, secured, tmp_path, capsys):
    root = certs / "ca.crt"
    one, two, three, four = new_public_keys(tmp_path, "one", "two", "three", "four")
    code, out, _ = run(capsys, secured, root, one, "--partition", "700", two, "--partition", "702,701")
    assert code == 0
    first, second = out.splitlines()
    assert re.fullmatch(rf"{one}: registered as node \d+, for client 700", first)
    number = re.fullmatch(rf"{two}: registered as node (\d+), for clients 701, 702", second)[1]
    code, out, err = run(capsys, secured, root, three, "--partition", "703,702")
    assert (code, out) == (2, "")
    owner = f"node {number} (two [partition 701,702])"
    assert err == f"fl_backdoor: three cannot be for client 702: the key of {owner} is\n"
    code, out, err = run(capsys, secured, root, three, four, "--partition", "703", "--partition", "703")
    assert (code, out) == (2, "")
    assert "three cannot be for client 703: the key of four is" in err
    assert run(capsys, secured, root, two, "--partition", "701,702") == (
        0,
        f"{two}: registered already, as node {number}, for clients 701, 702\n",
        "",
    )
    code, out, err = run(capsys, secured, root, two, "--partition", "704")
    assert (code, out) == (2, "")
    assert "two is registered already, for clients 701, 702: remove it, and register a new key for" in err
    run(capsys, secured, root, "--remove", two)
    assert run(capsys, secured, root, three, "--partition", "702")[0] == 0


@pytest.mark.parametrize(
    ("partitions", "output"),
    [
        (["1"], "--partition = given 1 times: once for each of 2 keys"),
        (["1", "2", "3"], "--partition = given 3 times: once for each of 2 keys"),
        (["1", "-2"], "partition = -2: must be a client id from 0, or several with commas"),
        (["1", "all"], "partition = all: must be a client id from 0"),
    ],
)
def test_clients_that_make_no_sense_are_told_before_anything_is_sent(certs, capsys, partitions, output):
    options = [f"--partition={partition}" for partition in partitions]
    keys = [certs / "node-0.pub", certs / "node-1.pub"]
    code, out, err = run(capsys, "localhost:1", certs / "ca.crt", *keys, *options)
    assert (code, out) == (2, "")
    assert output in err


def test_a_superlink_of_another_authority_is_not_talked_to(secured, tmp_path, capsys):
    authority.create(tmp_path / "foreign", ["localhost"], num_nodes=1, days=1)
    root = tmp_path / "foreign" / "ca.crt"
    code, _, err = run(capsys, secured, root, tmp_path / "foreign" / "node-0.pub")
    assert code == 2
    assert f"{secured.address}: TLS failed: unable to get local issuer certificate; is this the right" in err
    assert err.count("\n") == 1


def test_nobody_listening_is_told_in_one_line(certs, capsys):
    address = f"127.0.0.1:{free_port()}"
    code, _, err = run(capsys, address, certs / "ca.crt", certs / "node-0.pub")
    assert code == 2
    assert f"{address}: no SuperLink answers there" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("address", ["https://localhost:8000", "localhost", "localhost:port", ""])
def test_what_is_not_an_address_is_told(certs, capsys, address):
    code, _, err = run(capsys, address, certs / "ca.crt", certs / "node-0.pub")
    assert code == 2
    assert "host:port" in err


@pytest.mark.parametrize("wrong", ["node-0", "server.crt", "missing.pub"])
def test_what_is_not_a_public_key_is_told_before_anything_is_sent(certs, capsys, wrong):
    code, out, err = run(capsys, "localhost:1", certs / "ca.crt", certs / "node-1.pub", certs / wrong)
    assert (code, out) == (2, "")
    assert re.search(rf"{wrong} (is not a public key|cannot be read)", err)


def test_a_root_that_is_no_certificate_is_told(certs, capsys):
    code, _, err = run(capsys, "localhost:1", certs / "node-0.pub", certs / "node-0.pub")
    assert code == 2
    assert "node-0.pub is not a certificate" in err
