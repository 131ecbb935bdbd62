"""What an authority makes, judged by OpenSSL, OpenSSH, TLS handshakes and `cryptography`'s own verifier."""

import ipaddress
import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from flwr.supercore.auth import load_superexec_auth_secret

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.engine.deployment import authority, certificates, key_files
from fl_backdoor.engine.deployment.hosts import alternative_name

HOSTS = ["Server.Lab", "10.0.0.1", "2001:db8::1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "certs"
    authority.create(folder, HOSTS, num_nodes=2, days=30)
    return folder


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def verified(folder, root, subject, at=None):
    """Let an independent verifier check the chain as a web browser would."""
    policy = PolicyBuilder().store(Store([load(root)])).time(at or datetime.now(UTC).replace(tzinfo=None))
    return policy.build_server_verifier(subject).verify(load(folder / "server.crt"), [])


def said(command):
    """Return what a program prints that must be content."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def tls_server(folder, host="127.0.0.1", family=socket.AF_INET):
    """Answer one TLS handshake after the other with the server's certificate, and yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with socket.create_server((host, 0), family=family) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    context.wrap_socket(connection, server_side=True).sendall(b"hello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def greet(port, name, root, host="127.0.0.1"):
    """Shake hands with whoever listens, under the strictest rules, and return what it says."""
    context = ssl.create_default_context(cafile=root)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((host, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.recv(5)


def test_files_and_modes_whatever_the_umask(tmp_path):
    secret = {"ca.key", "server.key", "superexec.secret", "node-0", "node-1"}
    public = {"ca.crt", "server.crt", "node-0.pub", "node-1.pub"}
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            folder = tmp_path / f"{umask}"
            authority.create(folder, ["localhost"], num_nodes=2, days=1)
        finally:
            os.umask(before)
        assert mode(folder) == 0o700
        assert {path.name: mode(path) for path in folder.iterdir()} == (
            dict.fromkeys(secret, 0o600) | dict.fromkeys(public, 0o644)
        )


def test_names_and_addresses_are_told_apart_and_loopback_is_added(made):
    names = load(made / "server.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["server.lab", "localhost"]
    addresses = ["10.0.0.1", "2001:db8::1", "127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(text) for text in addresses]


def test_the_server_is_valid_for_as_long_as_asked_and_the_authority_for_ten_years(made):
    now = datetime.now(UTC)
    for name, days in (("server.crt", 30), ("ca.crt", 3650)):
        certificate = load(made / name)
        assert abs(certificate.not_valid_after_utc - now - timedelta(days=days)) < timedelta(minutes=10)
        assert timedelta(minutes=50) < now - certificate.not_valid_before_utc < timedelta(minutes=70)


@pytest.mark.parametrize(
    "subject", [x509.DNSName("server.lab"), x509.IPAddress(ipaddress.ip_address("2001:db8::1"))]
)
def test_chain_is_verified_independently(made, subject):
    assert [certificate.subject for certificate in verified(made, made / "ca.crt", subject)] == [
        load(made / "server.crt").subject,
        load(made / "ca.crt").subject,
    ]


def test_chain_is_refused_under_another_name_after_its_end_and_from_another_authority(made, tmp_path):
    authority.create(tmp_path / "other", HOSTS, num_nodes=1, days=30)
    server = x509.DNSName("server.lab")
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=31)
    for root, subject, at in (
        (made / "ca.crt", x509.DNSName("other.lab"), None),
        (made / "ca.crt", server, later),
        (tmp_path / "other" / "ca.crt", server, None),
    ):
        with pytest.raises(VerificationError):
            verified(made, root, subject, at)


def test_openssl_takes_the_chain_under_its_strictest_rules(made):
    strict = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]
    assert said(["openssl", *strict, made / "ca.crt", made / "server.crt"]).endswith("server.crt: OK\n")


def test_a_real_handshake_by_name_and_by_address(made):
    with tls_server(made) as port:
        for name in ("server.lab", "10.0.0.1", "localhost", "127.0.0.1"):
            assert greet(port, name, made / "ca.crt") == b"hello"


def test_a_real_handshake_over_ipv6(made):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with tls_server(made, "::1", socket.AF_INET6) as port:
        assert greet(port, "::1", made / "ca.crt", "::1") == b"hello"


def test_a_handshake_fails_with_another_name_and_with_another_authority(made, tmp_path):
    authority.create(tmp_path / "other", HOSTS, num_nodes=1, days=30)
    with tls_server(made) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.lab'"):
            greet(port, "other.lab", made / "ca.crt")
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            greet(port, "server.lab", tmp_path / "other" / "ca.crt")
        assert greet(port, "server.lab", made / "ca.crt") == b"hello"


def test_openssh_reads_a_node_s_key_and_its_public_half_belongs_to_it(made):
    private_says = said(["ssh-keygen", "-y", "-f", made / "node-1"])
    kind, body, comment = (made / "node-1.pub").read_text().split()
    assert private_says.split()[:2] == [kind, body]
    assert (kind, comment) == ("ecdsa-sha2-nistp384", "node-1")
    assert (made / "node-0.pub").read_text().split()[1] != body


def test_flower_reads_the_secret_and_each_authority_has_its_own(made, tmp_path):
    authority.create(tmp_path / "other", HOSTS, num_nodes=1, days=30)
    ours, theirs = (
        load_superexec_auth_secret(str(folder / "superexec.secret")) for folder in (made, tmp_path / "other")
    )
    assert len(bytes.fromhex(ours.decode())) == 32
    assert ours != theirs


def test_nothing_is_overwritten(made):
    before = content(made)
    with pytest.raises(FlBackdoorError, match="--add-nodes N or --renew"):
        authority.create(made, HOSTS, num_nodes=1, days=30)
    assert content(made) == before
    with pytest.raises(FlBackdoorError, match="node-0 cannot be written: File exists"):
        key_files.write_new(made / "node-0", b"", 0o600)
    assert content(made) == before


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path):
    (tmp_path / "empty").mkdir(mode=0o755)
    authority.create(tmp_path / "empty", ["localhost"], num_nodes=1, days=1)
    assert mode(tmp_path / "empty") == 0o700
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FlBackdoorError, match="file is not empty"):
        authority.create(tmp_path / "file", ["localhost"], num_nodes=1, days=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(folder, node):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(authority, "_write_node", full)
    with pytest.raises(FlBackdoorError, match="certs cannot be written: No space left on device"):
        authority.create(tmp_path / "certs", ["localhost"], num_nodes=1, days=1)
    assert list(tmp_path.iterdir()) == []


def test_more_nodes_are_counted_on_and_change_nothing_else(tmp_path):
    folder = tmp_path / "certs"
    authority.create(folder, ["localhost"], num_nodes=2, days=1)
    before = content(folder)
    assert authority.add_nodes(folder, 2) == [2, 3]
    assert authority.nodes(folder) == [0, 1, 2, 3]
    after = content(folder)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"node-2", "node-2.pub", "node-3", "node-3.pub"}
    assert (mode(folder / "node-3"), mode(folder / "node-3.pub")) == (0o600, 0o644)


def test_a_renewed_certificate_is_taken_by_those_who_know_the_authority(tmp_path):
    folder = tmp_path / "certs"
    authority.create(folder, ["server.lab"], num_nodes=1, days=1)
    before = content(folder)
    authority.renew(folder, days=100)
    after = content(folder)
    assert {name for name in before if before[name] != after[name]} == {"server.crt"}
    renewed = load(folder / "server.crt")
    assert renewed.not_valid_after_utc - datetime.now(UTC) > timedelta(days=99)
    assert certificates.names(renewed)[0] == x509.DNSName("server.lab")
    with tls_server(folder) as port:
        assert greet(port, "server.lab", folder / "ca.crt") == b"hello"


def test_a_renewed_certificate_may_have_other_names(tmp_path):
    folder = tmp_path / "certs"
    authority.create(folder, ["old.lab"], num_nodes=1, days=1)
    authority.renew(folder, days=1, hosts=["new.lab"])
    with tls_server(folder) as port:
        assert greet(port, "new.lab", folder / "ca.crt") == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            greet(port, "old.lab", folder / "ca.crt")


def test_no_certificate_outlives_its_authority():
    key, now = certificates.new_key(), datetime.now(UTC)
    root = certificates.authority_certificate(key, now - timedelta(days=3600))
    signed = {"names": [alternative_name("a")], "authority": root, "authority_key": key, "now": now}
    certificates.server_certificate(key.public_key(), **signed, days=49)
    with pytest.raises(FlBackdoorError, match=r"days = 51: at most (49|50): the authority ends on \d{4}-"):
        certificates.server_certificate(key.public_key(), **signed, days=51)


@pytest.mark.parametrize(
    "host",
    [
        *("", "a b", "a:8000", "https://a", "10.0.0.300", "1.2.3"),
        *("-a", "a-", "a..b", "a.", "*.lab", "a_b", "é"),
        *("0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "[::1]", "a" * 64, ".".join(["abc"] * 70)),
    ],
)
def test_what_is_neither_a_name_nor_an_address_is_refused(host, tmp_path):
    with pytest.raises(FlBackdoorError, match=r"^host = "):
        authority.create(tmp_path / "certs", [host], num_nodes=1, days=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("num_nodes", "days", "named"), [(0, 1, "nodes"), (1001, 1, "nodes"), (1, 0, "days"), (1, 3651, "days")]
)
def test_numbers_out_of_range_are_refused(num_nodes, days, named, tmp_path):
    with pytest.raises(FlBackdoorError, match=f"^{named} = .* from 1 to "):
        authority.create(tmp_path / "certs", ["localhost"], num_nodes, days)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_an_authority_and_a_damaged_one_say_so(tmp_path):
    with pytest.raises(FlBackdoorError, match="holds no authority"):
        authority.add_nodes(tmp_path, 1)
    folder = tmp_path / "certs"
    authority.create(folder, ["localhost"], num_nodes=1, days=1)
    (folder / "ca.key").write_text("rubbish")
    with pytest.raises(FlBackdoorError, match=r"ca\.key is not an unencrypted private key"):
        authority.renew(folder, days=1)
    (folder / "ca.key").unlink()
    with pytest.raises(FlBackdoorError, match=r"ca\.key cannot be read: No such file"):
        authority.renew(folder, days=1)
    (folder / "server.crt").write_bytes((folder / "node-0").read_bytes())
    with pytest.raises(FlBackdoorError, match=r"server\.crt is not a certificate"):
        authority.add_nodes(folder, 1)


def test_an_encrypted_key_is_refused_in_one_line(made, tmp_path):
    path = tmp_path / "key"
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(certificates.new_key().private_bytes(serialization.Encoding.PEM, form, encryption))
    with pytest.raises(FlBackdoorError, match="unencrypted"):
        key_files.read_key(path)
