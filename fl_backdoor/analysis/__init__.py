"""What many runs say together: seeds, comparisons, tables, plots, report.

Imports `runs`, `config` for the marks of settings, and `core`; no data set, no PyTorch.
"""
