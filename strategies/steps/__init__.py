"""Steps before or after a rule, one paper a file."""
