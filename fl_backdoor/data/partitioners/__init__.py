"""Partitioners that flwr-datasets does not have; importing one takes seconds."""
