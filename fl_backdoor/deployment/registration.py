"""Which nodes a SuperLink knows: their public keys are registered there, and removed for good."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, UnregisterNodeRequest
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors.http import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from fl_backdoor.deployment.address import superlink_address
from fl_backdoor.deployment.key_files import read_node_public
from fl_backdoor.deployment.patience import raise_explained
from fl_backdoor.errors import FlBackdoorError

_Act = Callable[[ControlHttpClient, str, bytes, NodeInfo | None], str]
"""What to do with a node: its name, its public key, what the SuperLink knows of it; returns what was done."""


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
        return self._for_each(keys, _register)

    def remove(self, keys: Sequence[Path]) -> Iterator[str]:
        """Shut out the nodes with the public `keys`, at once and for good, and yield a line for each.

        Raises
        ------
        FlBackdoorError
            If a key cannot be read, or the SuperLink cannot be reached, is another one, or refuses.
        """
        return self._for_each(keys, _remove)

    def _for_each(self, keys: Sequence[Path], act: _Act) -> Iterator[str]:
        contents = {key: public_key_to_bytes(read_node_public(key)) for key in keys}
        with self._client() as client:
            known = {node.public_key: node for node in client.ListNodes(ListNodesRequest()).nodes_info}
            for key, content in contents.items():
                yield f"{key}: {act(client, key.stem, content, known.get(content))}"

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        address = superlink_address(self.superlink, str(self.root_certificates), insecure="no")
        interceptors = [RuntimeVersionHttpInterceptor(component_name="flwr CLI")]
        with ControlHttpClient.from_server_address(
            address.place, address.is_insecure, address.root_certificates, interceptors
        ) as client:
            try:
                yield client
            except httpx.HTTPError as error:
                raise_explained(error, address.place)


def _register(client: ControlHttpClient, name: str, content: bytes, known: NodeInfo | None) -> str:
    if known is None:
        node = client.RegisterNode(RegisterNodeRequest(public_key=content, name=name))
        return f"registered as node {node.node_id}"
    if known.status == NodeStatus.UNREGISTERED:
        raise FlBackdoorError(f"{name} was removed from this SuperLink for good: the node needs a new key")
    return f"registered already, as node {known.node_id}"


def _remove(client: ControlHttpClient, name: str, content: bytes, known: NodeInfo | None) -> str:
    if known is None or known.status == NodeStatus.UNREGISTERED:
        return "not registered"
    client.UnregisterNode(UnregisterNodeRequest(node_id=known.node_id))
    return f"removed, was node {known.node_id}"
