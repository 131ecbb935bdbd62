"""Data sets, one a file, and their partition over clients; `samples` alone imports PyTorch."""
