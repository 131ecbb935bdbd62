"""Run folders: written as a run goes on, readable without this program. Imports `metrics` and `core`."""
