"""A node: one process that joins a SuperLink, trains its clients when it is asked, and stays.

Flower's own SuperNode starts a process for each message, which imports PyTorch and decodes nothing but
forgets everything. This one keeps data, model and GPU at hand, and runs nothing but the code that is
installed beside it: what a SuperLink calls the run's app is not fetched.
"""

import threading
import time

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, ObjectPushError

from fl_backdoor.core.errors import FlBackdoorError, Stopped
from fl_backdoor.core.foreign_text import cleaned
from fl_backdoor.engine.deployment.address import SuperLinkAddress
from fl_backdoor.engine.deployment.fleet import FleetLink, KeyInUseError
from fl_backdoor.engine.deployment.retry import Tell, raise_explained
from fl_backdoor.federation.hosting import Hosting

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
"""Seconds between two looks for messages; in between it is a twentieth of the time since the last one."""

REJOIN_SECONDS = 5.0
JOIN_SECONDS = 40.0
"""How long a node that was killed may have to wait until it can join again, with some to spare."""

RUN_HAS_ENDED = 403
"""What the SuperLink answers to a node that is at a run which nobody waits for any more."""


class NodeProcess:
    """Serves the clients of one node until it is told to stop.

    Parameters
    ----------
    superlink, key
        Where to join, and as whom; see `FleetLink`.
    hosting
        Whom the node hosts.
    app
        What answers messages.
    tell
        Told what happens, a line each.
    """

    def __init__(
        self,
        superlink: SuperLinkAddress,
        key: ec.EllipticCurvePrivateKey | None,
        hosting: Hosting,
        app: ClientApp,
        tell: Tell,
    ) -> None:
        self.superlink = superlink
        self.key = key
        self.hosting = hosting
        self.app = app
        self.tell = tell
        self._stop = threading.Event()
        self._has_joined = False
        self._complaint = ""

    def stop(self) -> None:
        """Have `serve` return after the message that it is at."""
        self._stop.set()

    def serve(self) -> None:
        """Join, answer messages, and join again whenever the SuperLink has forgotten this node.

        Raises
        ------
        FlBackdoorError
            If the SuperLink refuses this node when it first joins, or shows a wrong certificate.
        """
        gives_up_at = time.monotonic() + JOIN_SECONDS
        while not self._stop.is_set():
            try:
                self._stay()
            except Stopped:
                return
            except FlBackdoorError as refused:
                # A node with the same key may have been there a moment ago, and is not missed yet.
                is_too_early = isinstance(refused, KeyInUseError) and time.monotonic() < gives_up_at
                if not self._has_joined and not is_too_early:
                    raise
                if str(refused) != self._complaint:
                    self._complaint = str(refused)
                    self.tell(f"{refused}; joining again every {REJOIN_SECONDS:.0f} s")
                self._stop.wait(REJOIN_SECONDS)

    def _stay(self) -> None:
        """Join, and answer messages until the SuperLink has forgotten this node."""
        try:
            with FleetLink(self.superlink, self.key, self._stop, self.tell) as link:
                self.tell(f"joined {self.superlink.address} as node {link.node_id}")
                self._has_joined, self._complaint = True, ""
                self._answer_messages(link)
        except httpx.HTTPError as error:
            raise_explained(error, self.superlink.address)

    def _answer_messages(self, link: FleetLink) -> None:
        heard_at = time.monotonic()
        while not self._stop.is_set() and not link.is_lost:
            try:
                message = link.receive()
                if message is None:
                    self._stop.wait(_pause(time.monotonic() - heard_at))
                    continue
                link.send(*self._answer(message, link.node_id))
            except (ObjectPullError, ObjectPushError) as error:
                self.tell(f"a message was lost on its way: {cleaned(str(error))}")
            except httpx.HTTPStatusError as error:
                if error.response.status_code != RUN_HAS_ENDED:
                    raise
                self.tell("the run has ended without this node's answer")
            heard_at = time.monotonic()

    def _answer(self, message: Message, node_id: int) -> tuple[Message, float]:
        started = time.perf_counter()
        kind = cleaned(message.metadata.message_type)
        self.tell(f"a {kind} message has come")
        context = Context(
            run_id=message.metadata.run_id,
            node_id=node_id,
            node_config=dict(self.hosting.node_config()),
            state=RecordDict(),
            run_config={},
        )
        try:
            reply = self.app(message, context)
        except Exception as error:  # whatever a message makes of the app
            reason = cleaned(f"{type(error).__name__}: {error}")
            self.tell(f"a {kind} message failed: {reason}")
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
        seconds = time.perf_counter() - started
        self.tell(f"answered a {kind} message in {seconds:.1f} s")
        return reply, seconds


def _pause(idle_seconds: float) -> float:
    """Return how long to wait before the next look: seldom where nothing happens, and soon where it does."""
    return min(max(idle_seconds / 20, SHORTEST_PAUSE), LONGEST_PAUSE)
