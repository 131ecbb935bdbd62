"""What many runs say together: seeds, comparisons, tables, plots, report. Reads `runs` alone, no PyTorch."""
