"""Clients on machines of their own: Flower's SuperLink and nodes, certificates and keys."""
