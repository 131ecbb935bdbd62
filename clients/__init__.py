"""Benign and malicious Flower clients. They run the parts of an attack and know no server."""

from clients.adversary import Adversary
from clients.benign import BenignClient, LocalTask
from clients.malicious import MaliciousClient

__all__ = ["Adversary", "BenignClient", "LocalTask", "MaliciousClient"]
