"""A node's link to its SuperLink, through Flower's Fleet API."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import pull_and_inflate_object_from_tree, push_objects
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supercore.retry import RetryInvoker
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.engine.deployment.address import SuperLinkAddress
from fl_backdoor.engine.deployment.retry import Tell, retry_invoker

HEARTBEAT_SECONDS, BEAT_SECONDS = 10.0, 3.0
"""What the SuperLink is promised (its least), and how often the heart beats: one that is silent for twice as
long as promised is gone, and only then can another process come with its key."""

PULL_SECONDS = 60.0
"""How long the parts of a message are waited for that its sender has not sent yet, and may never send."""

NOT_TOLD = (401, 403, 404)
"""Answers of a SuperLink that does not know this node any more."""

NO_INTERVAL = 0.0
"""A promise of heartbeats that the SuperLink takes from nobody, and refuses to nodes alone that it knows."""


class KeyUnknownError(FlBackdoorError):
    """The SuperLink does not know a node's key."""


class KeyInUseError(FlBackdoorError):
    """A node with the same key is there, or is not missed yet."""


class FleetLink:
    """A context manager: inside it the node is known to the SuperLink, and its heart beats.

    Parameters
    ----------
    superlink
        Where to join.
    key
        The node's own, whose public part the SuperLink knows; None: a new one, where no key is asked for.
    stop
        Ends every wait; `Stopped` is raised then.
    tell
        Told when the SuperLink goes away and comes back.

    Raises
    ------
    KeyUnknownError, KeyInUseError
        If the SuperLink does not take the key.
    httpx.HTTPError
        If it refuses anything else, or its certificate is wrong. Where it does not answer it is waited for.
    """

    def __init__(
        self,
        superlink: SuperLinkAddress,
        key: ec.EllipticCurvePrivateKey | None,
        stop: threading.Event,
        tell: Tell,
    ) -> None:
        self._address = superlink.address
        self._registers_itself = key is None
        self._key = key or generate_key_pairs()[0]
        self._node: Node | None = None
        self._lost = threading.Event()
        self._client = self._connected(superlink, retry_invoker(superlink.address, None, stop, tell))
        # A heartbeat must not wait until the others get through.
        self._heart = self._connected(superlink, None)
        self._left = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    @property
    def node_id(self) -> int:
        """The SuperLink's name for this node."""
        assert self._node is not None
        return int(self._node.node_id)

    @property
    def is_lost(self) -> bool:
        """Whether the SuperLink has forgotten this node, so that it has to join again."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        public = public_key_to_bytes(self._key.public_key())
        if self._registers_itself:
            self._client.RegisterNode(RegisterNodeFleetRequest(public_key=public))
        try:
            response = self._client.ActivateNode(
                ActivateNodeRequest(public_key=public, heartbeat_interval=HEARTBEAT_SECONDS)
            )
        except httpx.HTTPStatusError as error:
            if _code(error) == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
                raise self._key_refused(public) from error
            raise
        self._node = Node(node_id=response.node_id)
        self._heartbeat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        if self._heartbeat.is_alive():
            self._heartbeat.join()
        if self._node is not None and not self.is_lost:
            self._leave()
        self._client.close()
        self._heart.close()

    def receive(self) -> Message | None:
        """Return the next message for this node with all it holds, or None.

        Raises
        ------
        ObjectPullError
            If its sender has not sent all of it.
        """
        response = self._client.PullMessages(PullMessagesRequest(node=self._node))
        if not response.messages_list:
            return None
        envelope, tree = message_from_proto(response.messages_list[0]), response.message_object_trees[0]
        message = self._pulled(envelope.metadata.run_id, tree)
        message.metadata.__dict__["_message_id"] = envelope.metadata.message_id
        return message

    def send(self, reply: Message, seconds: float) -> int:
        """Send a reply that took so many seconds; return how many objects of it travelled.

        Raises
        ------
        ObjectPushError
            If the SuperLink was restarted meanwhile.
        """
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            tree, objects = get_object_tree(reply), get_all_nested_objects(reply)
            response = self._client.PushMessages(
                PushMessagesRequest(
                    node=self._node,
                    messages_list=[message_to_proto(remove_content_from_message(reply))],
                    message_object_trees=[tree],
                    clientapp_runtime_list=[seconds],
                )
            )
            push = make_push_object_fn_protobuf(
                self._client.PushObject, self._own(), reply.metadata.run_id, response.session_id
            )
            wanted = set(response.objects_to_push)
            push_objects(objects, push, object_ids_to_push=wanted)
        return len(wanted)

    def _key_refused(self, public: bytes) -> FlBackdoorError:
        """Return why a key is not taken.

        The SuperLink says the same of one that it does not know and of one whose node it believes to be
        there. In between it looks at the promised heartbeats.
        """
        try:
            self._client.ActivateNode(ActivateNodeRequest(public_key=public, heartbeat_interval=NO_INTERVAL))
        except httpx.HTTPStatusError as error:
            if _code(error) == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
                return KeyUnknownError(
                    f"{self._address}: the SuperLink does not know this node's key: "
                    "fl-backdoor register makes it known, unless it was removed"
                )
        return KeyInUseError(f"{self._address}: a node with this key is there, or was until a moment ago")

    def _connected(self, superlink: SuperLinkAddress, retry: RetryInvoker | None) -> FleetHttpClient:
        return FleetHttpClient.from_server_address(
            superlink.address,
            superlink.is_insecure,
            superlink.root_certificates,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(self._key, self._key.public_key()),
            ],
            retry_invoker=retry,
        )

    def _pulled(self, run_id: int, tree: ObjectTree) -> Message:
        pull = make_pull_object_fn_protobuf(self._client.PullObject, self._own(), run_id)
        confirm = make_confirm_message_received_fn_protobuf(
            self._client.ConfirmMessageReceived, self._own(), run_id
        )
        return pull_and_inflate_object_from_tree(
            tree, pull, confirm, return_type=Message, max_time=PULL_SECONDS, backoff_cap=1.0
        )

    def _own(self) -> Node:
        assert self._node is not None
        return self._node

    def _beat_on(self) -> None:
        while not self._left.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        """Say that this node lives; what does not arrive is made good by the next time."""
        request = SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_SECONDS)
        try:
            if not self._heart.SendNodeHeartbeat(request).success:
                self._lost.set()
        except httpx.TransportError:
            return
        except httpx.HTTPStatusError as error:
            if error.response.status_code in NOT_TOLD:
                self._lost.set()

    def _leave(self) -> None:
        """Say goodbye, if anybody listens."""
        requests: list[Callable[[], object]] = [
            lambda: self._heart.DeactivateNode(DeactivateNodeRequest(node_id=self.node_id))
        ]
        if self._registers_itself:
            requests.append(
                lambda: self._heart.UnregisterNode(UnregisterNodeFleetRequest(node_id=self.node_id))
            )
        for request in requests:
            try:
                request()
            except (httpx.HTTPError, RuntimeError):
                return


def _code(error: httpx.HTTPStatusError) -> int | None:
    said = FlowerError.from_json(error.response.text)
    return None if said is None else said.code
