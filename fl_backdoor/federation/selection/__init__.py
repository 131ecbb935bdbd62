"""Who takes part in a round, one way a file."""
