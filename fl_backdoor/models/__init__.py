"""Models, one a file. Imports `data` and `core`."""
