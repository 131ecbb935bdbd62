"""nginx before a SuperLink, as docs/deployment/nginx.conf has it: the world reaches the Fleet API alone."""

import http.client
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fl_backdoor.engine.deployment.registration import Registrar
from tests.deployment.superlinks import free_port
from tests.deployment.test_files import FOLDER

ADMIN, STRANGER = "127.0.0.1", "127.0.0.2"
CERTS = "/etc/fl_backdoor/certs"

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not on this machine")


@contextmanager
def nginx(folder, configuration):
    """Run nginx with this configuration of one server until the end of the block."""
    (folder / "server.conf").write_text(configuration)
    paths = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/server.conf; }}\n"
    )
    command = ["nginx", "-c", str(whole), "-p", str(folder), "-e", str(folder / "error.log")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def proxy(certs, secured, tmp_path_factory):
    """The port of nginx before the SuperLink, with this machine's first address as the administrator's."""
    port = free_port()
    configuration = (FOLDER / "nginx.conf").read_text()
    for documented, real in (
        ("listen 8000 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8001", secured.address),
        ("allow 192.0.2.5", f"allow {ADMIN}"),
        (CERTS, str(certs)),
    ):
        assert documented in configuration
        configuration = configuration.replace(documented, real)
    with nginx(tmp_path_factory.mktemp("nginx"), configuration):
        wait_for(certs, port)
        yield port


def wait_for(certs, port):
    for _ in range(100):
        try:
            ask(certs, port, "GET", "/health", ADMIN)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(port)


def ask(certs, port, method, path, source):
    """Return the status of the answer to one request that comes from the address `source`."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1",
        port,
        timeout=10,
        source_address=(source, 0),
        context=ssl.create_default_context(cafile=certs / "ca.crt"),
    )
    try:
        connection.request(method, path, headers={"content-type": "application/x-protobuf"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_administrator_registers_and_a_node_is_let_in_through_the_proxy(certs, proxy):
    address = f"127.0.0.1:{proxy}"
    list(Registrar(address, certs / "ca.crt").register([certs / "node-1.pub"]))
    key = load_ssh_private_key((certs / "node-1").read_bytes(), None)
    public = public_key_to_bytes(key.public_key())
    with FleetHttpClient.from_server_address(
        address,
        insecure=False,
        root_certificates=(certs / "ca.crt").read_bytes(),
        interceptors=[
            RuntimeVersionHttpInterceptor("test"),
            NodeAuthHttpInterceptor(key, key.public_key()),
        ],
    ) as node:
        assert node.ActivateNode(ActivateNodeRequest(public_key=public, heartbeat_interval=30)).node_id


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/list-runs",
        "/v1/control/register-node",
        "/v1/runtime/acquire-task",
        "/docs",
        "/openapi.json",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "//v1/control/list-runs",
    ],
)
def test_a_stranger_reaches_nothing_but_the_fleet_api(certs, proxy, path):
    assert ask(certs, proxy, "POST", path, STRANGER) == 403


def test_everybody_may_ask_whether_it_is_healthy_and_be_refused_as_a_node(certs, proxy):
    assert ask(certs, proxy, "GET", "/health", STRANGER) == 200
    assert ask(certs, proxy, "POST", "/v1/fleet/pull-messages", STRANGER) not in (200, 403)
