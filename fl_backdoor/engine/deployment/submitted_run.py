"""A run at a SuperLink, of which this process is the server app.

Flower's usual way starts a process for the server app beside the SuperLink. Here the process that the user
has started takes that place: it submits the run, takes the task that the SuperLink makes of it, and talks to
it until the run has ended. Its files, its terminal and Ctrl-C are then those of any other run.
"""

import hashlib
import secrets
import threading
import time
from types import TracebackType
from typing import Self

import httpx
from flwr.common.constant import SubStatus
from flwr.common.serde import fab_to_proto, run_from_proto
from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from fl_backdoor.core.errors import FlBackdoorError, Stopped
from fl_backdoor.engine.deployment.address import SuperLinkAddress
from fl_backdoor.engine.deployment.bundle import bundle
from fl_backdoor.engine.deployment.retry import Tell, raise_explained, retry_invoker

ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
ACQUIRE_SECONDS, ACQUIRE_PAUSE = 20.0, 0.1

AWAY_SECONDS = 120.0
"""How long the SuperLink may be away. It gives up a run whose server app it has not heard of for a minute."""


class SubmittedRun:
    """A context manager: inside it the run exists, and `grid` reaches its nodes.

    Parameters
    ----------
    superlink
        Where it is submitted.
    secret
        What lets this process be the server app; None where the SuperLink asks for none.
    stop
        Ends every wait; `Stopped` is raised then.
    tell
        Told when the SuperLink goes away and comes back.

    Raises
    ------
    FlBackdoorError
        If the SuperLink cannot be reached, does not take the run or gives its task to somebody else.
    """

    def __init__(
        self, superlink: SuperLinkAddress, secret: bytes | None, stop: threading.Event, tell: Tell
    ) -> None:
        self.superlink = superlink
        self._secret = secret
        self._stop = stop
        self._tell = tell
        self._lost = threading.Event()
        content = bundle(submission=secrets.token_hex(16))
        self._app = Fab(hashlib.sha256(content).hexdigest(), content, {})
        self._heartbeat: HeartbeatSender | None = None
        self.grid: HttpGrid

    def __enter__(self) -> Self:
        try:
            run_id = self._submit()
            self._take_up(self._acquire(run_id))
        except httpx.HTTPError as error:
            raise_explained(error, self.superlink.address)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._report_end(error)
        self.grid.close()
        if isinstance(error, httpx.HTTPError):
            if self._lost.is_set():
                raise FlBackdoorError(f"{self.superlink.address}: the SuperLink has ended the run") from error
            raise_explained(error, self.superlink.address)

    def _submit(self) -> int:
        request = StartRunRequest(fab=fab_to_proto(self._app))
        client = ControlHttpClient.from_server_address(
            self.superlink.address,
            self.superlink.is_insecure,
            self.superlink.root_certificates,
            [RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        )
        try:
            response = client.StartRun(request)
        finally:
            client.close()
        if not response.HasField("run_id"):
            raise FlBackdoorError(f"{self.superlink.address}: the SuperLink takes no runs")
        return response.run_id

    def _acquire(self, run_id: int) -> str:
        """Return the token of the task that is this run's server app.

        A SuperLink hands out its oldest task of the kind that is asked for, and for good. Asked for a kind,
        it would hand out the task of whoever has submitted a run at the same moment; so it is asked for tasks
        of this run's own app, which no other run names. (The field is called after Flower's agents; the
        SuperLink compares it with every task.)
        """
        protect = (
            [SuperExecAuthHttpInterceptor(master_secret=self._secret, protected_methods={ACQUIRE})]
            if self._secret is not None
            else []
        )
        client = RuntimeHttpClient.from_server_address(
            self.superlink.address,
            self.superlink.is_insecure,
            self.superlink.root_certificates,
            [RuntimeVersionHttpInterceptor(component_name="SuperExec"), *protect],
        )
        request = AcquireTaskRequest(agentapp_fab_hashes=[self._app.hash_str])
        ends = time.monotonic() + ACQUIRE_SECONDS
        try:
            while time.monotonic() < ends:
                response = client.AcquireTask(request)
                if response.token and response.task.run_id == run_id:
                    return str(response.token)
                if self._stop.wait(ACQUIRE_PAUSE):
                    raise Stopped("asked to stop before the run began")
        finally:
            client.close()
        raise FlBackdoorError(
            f"{self.superlink.address}: somebody else has taken the run's server app; "
            "start the SuperLink with --isolation process"
        )

    def _take_up(self, token: str) -> None:
        grid = HttpGrid(
            runtime_api_address=self.superlink.address,
            insecure=self.superlink.is_insecure,
            root_certificates=self.superlink.root_certificates,
            token=token,
        )
        # Flower's own invoker ends the process with a signal where the SuperLink refuses.
        grid._retry_invoker = retry_invoker(self.superlink.address, AWAY_SECONDS, self._stop, self._tell)
        task = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
        TaskIdentity.task_id = task.task_id
        TaskIdentity.run_id = task.run.run_id
        TaskIdentity.node_id = task.context.node_id
        grid.set_run(run_from_proto(task.run))
        self.grid = grid
        self._heartbeat = HeartbeatSender(self._beat)
        self._heartbeat.start()

    def _beat(self) -> bool:
        try:
            if not self.grid._runtime_client.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success:
                self._lost.set()
        except httpx.TransportError:
            return False
        except (httpx.HTTPStatusError, Stopped):
            self._lost.set()
        return True

    def _report_end(self, error: BaseException | None) -> None:
        asked_to_stop = isinstance(error, Stopped | KeyboardInterrupt)
        status = SubStatus.COMPLETED if error is None else SubStatus.FAILED
        status = SubStatus.STOPPED if asked_to_stop else status
        self.grid._retry_invoker.max_time = 0.0
        try:
            self.grid._runtime_client.PushTaskOutput(
                PushTaskOutputRequest(sub_status=status, details="" if error is None else str(error))
            )
        except (httpx.HTTPError, Stopped):
            self._tell(f"the SuperLink at {self.superlink.address} could not be told that the run has ended")
