"""Run folders: written as a run goes on, readable without this program.

Imports `metrics` and `core`, not `config`: whatever settings a folder holds, it is read.
"""
