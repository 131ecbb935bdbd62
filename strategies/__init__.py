"""Defences of the server: one a file, each a Flower Strategy."""
