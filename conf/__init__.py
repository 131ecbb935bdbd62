"""Hydra configuration groups, one YAML file a choice."""
