"""Changes of a client update, one a file."""
