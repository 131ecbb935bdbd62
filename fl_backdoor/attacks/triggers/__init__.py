"""Triggers: what is stamped on an image, one a file."""
