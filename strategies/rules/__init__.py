"""Rules, one paper a file; each is a Flower strategy."""
