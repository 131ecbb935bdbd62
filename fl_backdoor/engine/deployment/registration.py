"""Which nodes a SuperLink knows: their public keys are registered there, and removed for good."""

from collections.abc import Iterator, Mapping, Sequence
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

from fl_backdoor.core.errors import ConfigError, FlBackdoorError
from fl_backdoor.engine.deployment.address import superlink_address
from fl_backdoor.engine.deployment.binding import (
    described,
    named_clients,
    registered_clients,
    registered_name,
)
from fl_backdoor.engine.deployment.key_files import read_node_public
from fl_backdoor.engine.deployment.retry import raise_explained

Known = Mapping[bytes, NodeInfo]
"""What a SuperLink knows of nodes, by public key."""


@dataclass(frozen=True)
class Wish:
    """A public key that is to be registered, and the clients that only its node may host then."""

    file: Path
    content: bytes
    client_ids: tuple[int, ...]


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

    def register(self, keys: Sequence[Path], client_ids: Sequence[tuple[int, ...]] = ()) -> Iterator[str]:
        """Make the nodes with the public `keys` known, and yield a line for each.

        Parameters
        ----------
        keys
            Files.
        client_ids
            The clients that only the node with this key may host, for each of the keys; empty: no key is for
            any clients in particular, and whoever claims one first hosts it.

        Raises
        ------
        FlBackdoorError
            If a key cannot be read, is registered for other clients, or is to be for clients of another key;
            nothing is registered then. If the SuperLink cannot be reached, is another one, or refuses.
        """
        if client_ids and len(client_ids) != len(keys):
            raise ConfigError(
                "--partition", f"given {len(client_ids)} times", f"once for each of {len(keys)} keys"
            )
        wanted = dict(zip(keys, client_ids or [()] * len(keys), strict=True))
        wishes = [Wish(key, content, wanted[key]) for key, content in _read(keys).items()]
        with self._client() as client:
            known = _known(client)
            for wish in wishes:
                _check(wish, wishes, known)
            for wish in wishes:
                yield f"{wish.file}: {_register(client, wish, known.get(wish.content))}"

    def remove(self, keys: Sequence[Path]) -> Iterator[str]:
        """Shut out the nodes with the public `keys`, at once and for good, and yield a line for each.

        Raises
        ------
        FlBackdoorError
            If a key cannot be read, or the SuperLink cannot be reached, is another one, or refuses.
        """
        contents = _read(keys)
        with self._client() as client:
            known = _known(client)
            for key, content in contents.items():
                yield f"{key}: {_remove(client, known.get(content))}"

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        superlink = superlink_address(self.superlink, str(self.root_certificates), insecure="no")
        interceptors = [RuntimeVersionHttpInterceptor(component_name="flwr CLI")]
        with ControlHttpClient.from_server_address(
            superlink.address, superlink.is_insecure, superlink.root_certificates, interceptors
        ) as client:
            try:
                yield client
            except httpx.HTTPError as error:
                raise_explained(error, superlink.address)


def _read(keys: Sequence[Path]) -> dict[Path, bytes]:
    return {key: public_key_to_bytes(read_node_public(key)) for key in keys}


def _known(client: ControlHttpClient) -> Known:
    return {node.public_key: node for node in client.ListNodes(ListNodesRequest()).nodes_info}


def _check(wish: Wish, wishes: Sequence[Wish], known: Known) -> None:
    """Raise FlBackdoorError where a wish is in the way of another one, or of what is registered."""
    node = known.get(wish.content)
    if node is not None and node.status == NodeStatus.UNREGISTERED:
        raise FlBackdoorError(
            f"{wish.file.stem} was removed from this SuperLink for good: the node needs a new key"
        )
    if node is not None and wish.client_ids and registered_clients(node) != wish.client_ids:
        raise FlBackdoorError(
            f"{wish.file.stem} is registered already, for {_for(registered_clients(node))}: "
            f"remove it, and register a new key for {_for(wish.client_ids)}"
        )
    others = [(one.file.stem, one.client_ids) for one in wishes if one is not wish]
    others += [
        (described(one), registered_clients(one))
        for one in known.values()
        if one.public_key != wish.content and one.status != NodeStatus.UNREGISTERED
    ]
    for other, client_ids in others:
        shared = sorted(set(client_ids) & set(wish.client_ids))
        if shared:
            raise FlBackdoorError(
                f"{wish.file.stem} cannot be for {named_clients(shared)}: the key of {other} is"
            )


def _register(client: ControlHttpClient, wish: Wish, known: NodeInfo | None) -> str:
    if known is not None:
        return f"registered already, as node {known.node_id}, for {_for(registered_clients(known))}"
    name = registered_name(wish.file.stem, wish.client_ids)
    node = client.RegisterNode(RegisterNodeRequest(public_key=wish.content, name=name))
    return f"registered as node {node.node_id}, for {_for(wish.client_ids)}"


def _remove(client: ControlHttpClient, known: NodeInfo | None) -> str:
    if known is None or known.status == NodeStatus.UNREGISTERED:
        return "not registered"
    client.UnregisterNode(UnregisterNodeRequest(node_id=known.node_id))
    return f"removed, was node {known.node_id}"


def _for(client_ids: Sequence[int]) -> str:
    return named_clients(client_ids) if client_ids else "any client that nobody else hosts"
