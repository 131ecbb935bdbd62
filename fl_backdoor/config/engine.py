"""Where clients run: the group ``engine`` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fl_backdoor.core.types import STRICT, PositiveCount

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, config=STRICT)
class SimulationConfig:
    """Clients in Ray's workers; no result depends on it.

    Parameters
    ----------
    num_workers
        Ray actors, each a process that trains one client at a time. Null: one a CPU core, at most one a
        participant; on GPUs also at most what their free memory allows, see `fl_backdoor.engine.gpu_workers`.
    threads_per_worker
        PyTorch's threads in each of them.
    device
        ``cpu``, ``cuda``, or ``auto``: CUDA where there is a GPU.
    address
        ``local`` starts a Ray of its own; otherwise the address of a running Ray cluster.
    exchange
        ``auto``: models and updates lie in shared memory where server and workers run on one host.
        ``messages``: they travel in Flower's messages, as between machines; slower.
    """

    num_workers: PositiveCount | None
    threads_per_worker: PositiveCount
    device: Device
    address: str
    exchange: Literal["auto", "messages"]
    name: Literal["simulation"] = "simulation"


@dataclass(frozen=True, config=STRICT)
class DeploymentConfig:
    """Clients on SuperNodes, which are reached through a SuperLink.

    Parameters
    ----------
    address
        Host and port of the SuperLink.
    root_certificates
        File with the certificate of the authority that vouches for the SuperLink. Null: those of the system.
    secret
        File with the secret of the SuperLink's ``--superexec-auth-secret-file``; null: it has none.
    insecure
        Whether to talk without TLS: ``loopback`` does so on this machine alone.
    min_clients
        Clients that must be connected before a round begins. Null: all before the first round of this
        process, ``server.min_replies`` before the others.
    updates
        What clients' updates travel as: ``float32`` changes nothing in them, ``float16`` halves their bytes.
    threads_per_worker, device
        PyTorch's threads and device, here and on nodes that do not say otherwise.
    """

    address: str
    root_certificates: str | None
    secret: str | None
    insecure: Literal["no", "loopback", "anywhere"]
    min_clients: PositiveCount | None
    updates: Literal["float32", "float16"]
    threads_per_worker: PositiveCount
    device: Device
    name: Literal["deployment"] = "deployment"


EngineConfig = Annotated[SimulationConfig | DeploymentConfig, Field(discriminator="name")]
"""Where clients run."""
