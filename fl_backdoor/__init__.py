"""Backdoor attacks on federated learning, and defences against them, on Flower."""
