"""What moves parameters along gradients, one family a file.

Written out because the first optimiser of ``torch.optim`` costs a process four seconds of imports, and
because their state has to stay where it is in memory for a CUDA graph.
"""
