"""The typed, checked form of a configuration. Imports `core`."""
