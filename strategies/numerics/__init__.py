"""Kernels on update matrices: sums, norms, distances, quartiles, clipping, by chunks and threads."""
