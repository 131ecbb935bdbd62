"""What a node is told when it is started: whom it hosts, what they are, and where its data is.

It stands in Flower's node configuration, so that `flower-supernode --node-config` can say the same. The
server sees none of it but the client ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from fl_backdoor.config.schema import Device, ExperimentConfig
from fl_backdoor.core.errors import FlBackdoorError
from fl_backdoor.federation.foreign_config import accept

NodeConfig = Mapping[str, Any]
"""Flower's: names and plain values."""

KEYS = ("partition", "malicious", "data", "own-data", "device", "threads")
LARGEST_CLIENT_ID = 10**9 - 1
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Hosting:
    """The clients of one node.

    Parameters
    ----------
    client_ids
        Partition ids of the clients that live here.
    is_malicious
        Whether they attack, with the attack that the configuration describes.
    data
        Folder of the data set; None: where it is found on any machine.
    owns_data
        Whether all training samples in `data` are this client's own; else it has a slice of a common set.
    device, threads
        Where models are trained, and with how many threads; None: as the configuration says.
    """

    client_ids: tuple[int, ...]
    is_malicious: bool = False
    data: str | None = None
    owns_data: bool = False
    device: Literal["auto", "cpu", "cuda"] | None = None
    threads: int | None = None

    def node_config(self) -> dict[str, str | bool | int]:
        """Return this as Flower's node configuration."""
        plain: dict[str, str | bool | int | None] = {
            "partition": ",".join(map(str, self.client_ids)),
            "malicious": self.is_malicious,
            "data": self.data,
            "own-data": self.owns_data,
            "device": self.device,
            "threads": self.threads,
        }
        return {key: value for key, value in plain.items() if value is not None}

    def here(self, config: ExperimentConfig) -> ExperimentConfig:
        """Return a run's configuration with this node's data, device and threads.

        Raises
        ------
        ConfigError
            If it names a plug-in that is not installed here for that purpose.
        """
        config = accept(config)
        engine = config.engine
        engine = replace(
            engine,
            device=self.device or engine.device,
            threads_per_worker=self.threads or engine.threads_per_worker,
        )
        dataset = config.dataset if self.data is None else {**config.dataset, "root": self.data}
        return replace(config, engine=engine, dataset=dataset)


def hosting(node_config: NodeConfig) -> Hosting | None:
    """Read a node's configuration; None: it is one of a simulation, where any node hosts any client.

    Raises
    ------
    FlBackdoorError
        If a key or a value makes no sense.
    """
    if "partition" not in node_config:
        return None
    # Flower's simulation says ``partition-id``; its SuperNodes take whatever keys they are given.
    unknown = sorted(set(node_config) - set(KEYS))
    if unknown:
        raise FlBackdoorError(f"{unknown[0]}: no such key of --node-config; known here: {', '.join(KEYS)}")
    device = node_config.get("device")
    if device not in (None, *DEVICES):
        raise FlBackdoorError(f"device = {device}: must be one of {', '.join(DEVICES)}")
    data = node_config.get("data")
    owns_data = bool(node_config.get("own-data", False))
    if owns_data and data is None:
        raise FlBackdoorError("own-data: say with data where they are")
    client_ids = listed_clients(str(node_config["partition"]))
    if owns_data and len(client_ids) > 1:
        raise FlBackdoorError(f"own-data are those of one client, not of {len(client_ids)}")
    return Hosting(
        client_ids=client_ids,
        is_malicious=bool(node_config.get("malicious", False)),
        data=None if data is None else str(data),
        owns_data=owns_data,
        device=device,
        threads=_threads(node_config.get("threads")),
    )


def listed_clients(text: str) -> tuple[int, ...]:
    """Return client ids as a user lists them, such as ``3,4``; raises FlBackdoorError if they are none."""
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        numbers = (-1,)
    if numbers[0] < 0 or numbers[-1] > LARGEST_CLIENT_ID:
        raise FlBackdoorError(f"partition = {text}: must be a client id from 0, or several with commas")
    return numbers


def _threads(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise FlBackdoorError(f"threads = {value}: must be a whole number from 1")
    return value
