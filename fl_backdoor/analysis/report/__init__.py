"""One HTML page about runs, which opens without a network, and its figures as files."""
