"""Gradients no longer than a bound, before a step is taken along them.

R. Pascanu, T. Mikolov and Y. Bengio, On the Difficulty of Training Recurrent Neural Networks, ICML 2013,
https://arxiv.org/abs/1211.5063, algorithm 1, as ``torch.nn.utils.clip_grad_norm_`` has it.
"""

from collections.abc import Sequence

import torch

SMALLEST = 1e-6
"""Added to the length, as PyTorch does."""


def clipped(gradients: Sequence[torch.Tensor], bound: float) -> Sequence[torch.Tensor]:
    """Return all gradients times one number, so that together they are no longer than `bound` in L2."""
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
    # A product with 1 rather than a decision, which would wait for the GPU.
    return torch._foreach_mul(list(gradients), torch.clamp(bound / (length + SMALLEST), max=1.0))
