"""Trackers such as TensorBoard and MLflow: told of a run beside its files, never in its way."""
