"""Clients on machines of their own: certificates, keys, and what goes over the network."""
