"""Random changes of training samples, one a file."""
