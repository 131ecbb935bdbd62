"""Which nodes a SuperLink knows: their public keys are registered there, and removed for good."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, UnregisterNodeRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from fl_backdoor.deployment.hosts import checked_address
from fl_backdoor.deployment.key_files import read_certificate, read_node_public
from fl_backdoor.errors import FlBackdoorError


@dataclass(frozen=True)
class Registrar:
    """The right to say which nodes take part, at one SuperLink.

    Parameters
    ----------
    superlink
        ``host:port``.
    root_certificates
        The certificate of the authority that vouches for the SuperLink.
    """

    superlink: str
    root_certificates: Path

    def register(self, keys: Sequence[Path]) -> Iterator[str]:
        """Make the nodes with the public `keys` known, and yield a line for each.

        Raises
        ------
        FlBackdoorError
            If a key cannot be read, or the SuperLink cannot be reached, is another one, or refuses.
        """
        contents = {key: public_key_to_bytes(read_node_public(key)) for key in keys}
        with self._client() as client:
            known = _known(client)
            for key, content in contents.items():
                yield f"{key}: {_register(client, key.stem, content, known.get(content))}"

    def remove(self, keys: Sequence[Path]) -> Iterator[str]:
        """Shut out the nodes with the public `keys`, at once and for good, and yield a line for each.

        Raises
        ------
        FlBackdoorError
            If a key cannot be read, or the SuperLink cannot be reached, is another one, or refuses.
        """
        contents = {key: public_key_to_bytes(read_node_public(key)) for key in keys}
        with self._client() as client:
            known = _known(client)
            for key, content in contents.items():
                yield f"{key}: {_remove(client, known.get(content))}"

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        read_certificate(self.root_certificates)
        with (
            self._one_line_errors(),
            ControlHttpClient.from_server_address(
                checked_address(self.superlink),
                insecure=False,
                root_certificates=self.root_certificates.read_bytes(),
                interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
            ) as client,
        ):
            yield client

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Say in one line what is wrong with the SuperLink or the way there."""
        try:
            yield
        except httpx.HTTPStatusError as error:
            told = FlowerError.from_json(error.response.text)
            reason = told.message if told else error.response.reason_phrase
            raise FlBackdoorError(f"the SuperLink {self.superlink} refused: {reason}") from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise FlBackdoorError(f"the SuperLink {self.superlink} {self._trouble(error)}") from error

    def _trouble(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return f"is not the one that {self.root_certificates} vouches for: {error}"
        return f"cannot be reached: {error}"


def _known(client: ControlHttpClient) -> dict[bytes, NodeInfo]:
    """Return all nodes that were ever registered, by their public keys."""
    return {node.public_key: node for node in client.ListNodes(ListNodesRequest()).nodes_info}


def _register(client: ControlHttpClient, name: str, content: bytes, known: NodeInfo | None) -> str:
    if known is None:
        node = client.RegisterNode(RegisterNodeRequest(public_key=content, name=name))
        return f"registered as node {node.node_id}"
    if known.status == NodeStatus.UNREGISTERED:
        raise FlBackdoorError(f"{name} was removed from this SuperLink for good: the node needs a new key")
    return f"registered already, as node {known.node_id}"


def _remove(client: ControlHttpClient, known: NodeInfo | None) -> str:
    if known is None or known.status == NodeStatus.UNREGISTERED:
        return "not registered"
    client.UnregisterNode(UnregisterNodeRequest(node_id=known.node_id))
    return f"removed, was node {known.node_id}"
