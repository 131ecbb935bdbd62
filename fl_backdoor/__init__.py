"""Backdoor attacks on federated learning, and defences against them, on Flower."""

__version__ = "0.1.0"
