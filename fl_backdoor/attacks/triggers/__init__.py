"""Triggers: what is stamped on a sample, one a file."""
