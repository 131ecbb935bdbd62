"""What a SuperLink that is started as the instructions say refuses, and whom it lets in; all for real."""

import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.cli.build import build_fab_from_files
from flwr.proto.control_pb2 import ListRunsRequest, RegisterNodeRequest, StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, RegisterNodeFleetRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import AcquireTaskRequest, GetNodesRequest, PullAppMessagesRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.runtime.runtime_http_client import RuntimeHttpClient
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fl_backdoor.cli import node as node_program
from fl_backdoor.config.schema import DeploymentConfig
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.engine.deployment import authority, certificates, key_files, node
from fl_backdoor.engine.deployment.address import superlink_address
from fl_backdoor.engine.deployment.engine import Deployment
from fl_backdoor.engine.deployment.hosts import alternative_names
from fl_backdoor.engine.deployment.instructions import superlink_flags
from fl_backdoor.engine.deployment.node import NodeProcess
from fl_backdoor.engine.deployment.registration import Registrar
from fl_backdoor.federation.client_app import app
from fl_backdoor.federation.hosting import Hosting
from tests.deployment.superlinks import SuperLink

ACQUIRE_TASK = "/flwr.proto.Runtime/AcquireTask"


def connect(kind, superlink, root, *interceptors):
    """Return a client of Flower's own that trusts the authority `root`; None: it speaks plain text."""
    return kind.from_server_address(
        superlink.address,
        insecure=root is None,
        root_certificates=root and root.read_bytes(),
        interceptors=[RuntimeVersionHttpInterceptor("test"), *interceptors],
    )


def as_node(superlink, root, key):
    return connect(FleetHttpClient, superlink, root, NodeAuthHttpInterceptor(key, key.public_key()))


def activation(key):
    return ActivateNodeRequest(public_key=public_key_to_bytes(key.public_key()), heartbeat_interval=30)


def private(path: Path):
    return load_ssh_private_key(path.read_bytes(), None)


def status(refused):
    return refused.value.response.status_code


def test_a_node_with_a_registered_key_is_let_in_and_nobody_else_speaks_for_it(certs, secured):
    root = certs / "ca.crt"
    list(Registrar(secured.address, root).register([certs / "node-0.pub", certs / "node-1.pub"]))
    keys = [private(certs / "node-0"), private(certs / "node-1")]
    with as_node(secured, root, keys[0]) as node, as_node(secured, root, keys[1]) as other:
        node_id = node.ActivateNode(activation(keys[0])).node_id
        heartbeat = SendNodeHeartbeatRequest(node=Node(node_id=node_id), heartbeat_interval=30)
        assert node.SendNodeHeartbeat(heartbeat).success
        for call, request in (
            (other.SendNodeHeartbeat, heartbeat),
            (other.PullMessages, PullMessagesRequest(node=Node(node_id=node_id))),
            (other.ActivateNode, activation(keys[0])),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                call(request)
            assert status(refused) == 401


def test_a_node_with_an_unregistered_key_is_refused_and_cannot_register_itself(certs, secured):
    stranger = certificates.new_key()
    with as_node(secured, certs / "ca.crt", stranger) as node:
        for call, request in (
            (node.ActivateNode, activation(stranger)),
            (
                node.RegisterNode,
                RegisterNodeFleetRequest(public_key=public_key_to_bytes(stranger.public_key())),
            ),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                call(request)
            assert status(refused) == 412


def test_a_node_without_a_key_is_refused(certs, secured):
    with connect(FleetHttpClient, secured, certs / "ca.crt") as node:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            node.ActivateNode(activation(private(certs / "node-0")))
        assert status(refused) == 401


def test_a_node_that_is_removed_is_shut_out_at_once(certs, secured):
    registrar = Registrar(secured.address, certs / "ca.crt")
    public, key = certs / "node-2.pub", private(certs / "node-2")
    list(registrar.register([public]))
    with as_node(secured, certs / "ca.crt", key) as node:
        node_id = node.ActivateNode(activation(key)).node_id
        pull = PullMessagesRequest(node=Node(node_id=node_id))
        assert not node.PullMessages(pull).messages_list
        list(registrar.remove([public]))
        with pytest.raises(httpx.HTTPStatusError) as refused:
            node.PullMessages(pull)
        assert status(refused) == 401
        with pytest.raises(httpx.HTTPStatusError):
            node.ActivateNode(activation(key))


def test_a_node_refuses_a_server_of_another_authority(certs, secured, tmp_path):
    authority.create(tmp_path / "foreign", ["localhost"], 1, days=1)
    key = private(certs / "node-0")
    with (
        as_node(secured, tmp_path / "foreign" / "ca.crt", key) as node,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        node.ActivateNode(activation(key))


def test_a_node_refuses_a_server_whose_certificate_has_expired(certs, tmp_path):
    yesterday = datetime.now(UTC) - timedelta(days=2)
    authority_key, server_key = certificates.new_key(), certificates.new_key()
    root = certificates.authority_certificate(authority_key, yesterday)
    expired = certificates.server_certificate(
        server_key.public_key(),
        names=alternative_names(["localhost"]),
        authority=root,
        authority_key=authority_key,
        now=yesterday,
        days=1,
    )
    for name, content in (
        ("ca.crt", key_files.certificate_bytes(root)),
        ("server.crt", key_files.certificate_bytes(expired)),
        ("server.key", key_files.key_bytes(server_key)),
        ("superexec.secret", b"secret"),
    ):
        (tmp_path / name).write_bytes(content)
    key = private(certs / "node-0")
    with (
        SuperLink(superlink_flags(tmp_path), tmp_path / "superlink") as superlink,
        as_node(superlink, tmp_path / "ca.crt", key) as node,
        pytest.raises(httpx.ConnectError, match="certificate has expired"),
    ):
        node.ActivateNode(activation(key))


def test_a_client_that_speaks_plain_text_is_refused(certs, secured):
    key = private(certs / "node-0")
    with as_node(secured, None, key) as node, pytest.raises(httpx.TransportError):
        node.ActivateNode(activation(key))
    with socket.create_connection((secured.host, secured.port), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/" not in connection.recv(100)


def signing(secret):
    return SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={ACQUIRE_TASK})


@pytest.mark.parametrize("signed", [[], [signing(b"wrong")], [signing(b"")]], ids=["no", "wrong", "empty"])
def test_a_task_is_handed_to_nobody_without_the_secret(certs, secured, signed):
    with connect(RuntimeHttpClient, secured, certs / "ca.crt", *signed) as client:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            client.AcquireTask(AcquireTaskRequest(supported_task_types=["flwr-serverapp"]))
        assert status(refused) == 401


class Replay:
    """Sends each request a second time, as one who listened would."""

    def intercept(self, context, call_next):
        call_next(context).raise_for_status()
        return call_next(context)


def test_the_secret_opens_the_queue_of_tasks_and_a_request_cannot_be_sent_twice(certs, secured):
    signed = signing((certs / "superexec.secret").read_bytes())
    nothing = AcquireTaskRequest(supported_task_types=["no-such-type"])
    with connect(RuntimeHttpClient, secured, certs / "ca.crt", signed) as client:
        assert not client.AcquireTask(nothing).HasField("task")
    with connect(RuntimeHttpClient, secured, certs / "ca.crt", signed, Replay()) as client:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            client.AcquireTask(nothing)
        assert status(refused) == 401


def test_the_runtime_api_wants_the_token_of_a_task(certs, secured):
    with connect(RuntimeHttpClient, secured, certs / "ca.crt") as client:
        for call, request in (
            (client.GetNodes, GetNodesRequest()),
            (client.PullMessages, PullAppMessagesRequest()),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                call(request)
            assert status(refused) == 401


APP = """
[project]
name = "stranger"
version = "1.0.0"
license = "Apache-2.0"
[tool.flwr.app]
publisher = "stranger"
[tool.flwr.app.components]
serverapp = "stranger.app:server"
clientapp = "stranger.app:client"
"""


def children(process):
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [child for children in lists for child in children.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up in /proc")
def test_what_a_stranger_submits_waits_for_ever_and_starts_no_process(certs, secured):
    files = {"pyproject.toml": APP.encode(), "stranger/app.py": b"raise SystemExit"}
    content, _ = build_fab_from_files(files)
    with connect(ControlHttpClient, secured, certs / "ca.crt") as client:
        run = client.StartRun(StartRunRequest(fab=Fab(content=content))).run_id
        runs = client.ListRuns(ListRunsRequest()).run_dict
        assert runs[run].status.status == "pending"
    assert children(secured.process) == []


def test_a_key_that_flower_does_not_take_is_refused(certs, secured):
    with connect(ControlHttpClient, secured, certs / "ca.crt") as client:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            client.RegisterNode(RegisterNodeRequest(public_key=b"rubbish"))
        assert status(refused) == 412


def node_process(superlink, root, key):
    """Return our own node, for a SuperLink that it thinks `root` vouches for."""
    address = superlink_address(superlink.address, str(root), "no")
    return NodeProcess(address, key, Hosting((0,)), app, print)


def test_our_node_says_at_once_that_its_key_is_not_known(certs, secured):
    stranger = certificates.new_key()
    with pytest.raises(FlBackdoorError, match="does not know this node's key: fl-backdoor register"):
        node_process(secured, certs / "ca.crt", stranger).serve()


def test_our_node_waits_for_one_with_its_key_before_it_gives_up(certs, secured, monkeypatch):
    list(Registrar(secured.address, certs / "ca.crt").register([certs / "node-0.pub"]))
    key = private(certs / "node-0")
    with as_node(secured, certs / "ca.crt", key) as node_there:
        with suppress(httpx.HTTPStatusError):  # it may be there from another test
            node_there.ActivateNode(activation(key))
        monkeypatch.setattr(node, "REJOIN_SECONDS", 0.01)
        monkeypatch.setattr(node, "JOIN_SECONDS", 0.5)
        lines = []
        process = node_process(secured, certs / "ca.crt", key)
        process.tell = lines.append
        with pytest.raises(FlBackdoorError, match="a node with this key is there, or was until a moment ago"):
            process.serve()
    assert len(lines) == 1  # however often it asked


def test_our_node_does_not_talk_to_another_authority_s_superlink(secured, tmp_path):
    authority.create(tmp_path / "other", ["localhost"], 1, days=1)
    process = node_process(secured, tmp_path / "other" / "ca.crt", private(tmp_path / "other" / "node-0"))
    with pytest.raises(
        FlBackdoorError, match=r"TLS failed: .*certificate.*; is this the right certificate\?"
    ):
        process.serve()


def deployment(certs, secured, secret):
    return DeploymentConfig(
        address=secured.address,
        root_certificates=str(certs / "ca.crt"),
        secret=secret,
        insecure="no",
        min_clients=None,
        updates="float32",
        threads_per_worker=1,
        device="cpu",
    )


def test_a_run_is_not_taken_without_the_secret(certs, secured):
    with pytest.raises(FlBackdoorError, match="the SuperLink refuses: "):
        Deployment(deployment(certs, secured, None), print).run(lambda grid: None)


def test_a_secret_that_others_can_read_is_warned_about(certs, secured, tmp_path):
    secret = tmp_path / "superexec.secret"
    secret.write_bytes((certs / "superexec.secret").read_bytes())
    lines = []
    for mode in (0o600, 0o640):
        secret.chmod(mode)
        Deployment(deployment(certs, secured, str(secret)), lines.append).run(lambda grid: None)
    assert lines == [f"NOTICE: {secret} is secret, and others can read it: chmod 600 {secret}"]


@pytest.fixture
def signals():
    """Give the handlers of signals back to pytest."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_the_node_s_command_warns_of_a_key_that_others_can_read_and_ends_if_it_is_unknown(
    certs, secured, tmp_path, capsys
):
    key = tmp_path / "node-7"
    key_files.write_new(key, key_files.node_key_bytes(certificates.new_key()), 0o644)
    options = [
        "--superlink",
        secured.address,
        "--root-certificates",
        str(certs / "ca.crt"),
        "--key",
        str(key),
    ]
    assert node_program.main([*options, "--partition", "7"]) == node_program.WRONG_SETTING
    warning, described, refusal = capsys.readouterr().out.splitlines()
    assert warning.endswith(f" NOTICE: {key} is secret, and others can read it: chmod 600 {key}")
    assert "client 7 · benign" in described
    assert refusal.startswith(f"fl_backdoor: {secured.address}: the SuperLink does not know this node's key")
