"""Changes of training batches, one a file."""
