"""Benign and malicious Flower clients. They run the parts of an attack and know no server.

`BenignClient` and `MaliciousClient` are the bench's own. `MaliciousNumPyClient` and `MaliciousClientApp` make
anybody's client, or ClientApp, malicious.
"""

from typing import TYPE_CHECKING

from fl_backdoor.core.exports import exported

if TYPE_CHECKING:
    from clients.adversary import Adversary
    from clients.benign import BenignClient, LocalTask
    from clients.client_app import MaliciousClientApp
    from clients.malicious import MaliciousClient
    from clients.manipulated import Turn, manipulated_arrays, manipulated_record
    from clients.numpy_client import MaliciousNumPyClient

__all__ = [
    "Adversary",
    "BenignClient",
    "LocalTask",
    "MaliciousClient",
    "MaliciousClientApp",
    "MaliciousNumPyClient",
    "Turn",
    "manipulated_arrays",
    "manipulated_record",
]

_HOMES = {
    "clients.adversary": ("Adversary",),
    "clients.benign": ("BenignClient", "LocalTask"),
    "clients.client_app": ("MaliciousClientApp",),
    "clients.malicious": ("MaliciousClient",),
    "clients.manipulated": ("Turn", "manipulated_arrays", "manipulated_record"),
    "clients.numpy_client": ("MaliciousNumPyClient",),
}
"""Where each public name is at home; the bench's clients are imported with Flower and PyTorch, in workers."""

__getattr__ = exported(__name__, _HOMES)
