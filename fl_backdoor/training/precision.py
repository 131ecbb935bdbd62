"""Whether models compute in float32 or, where the hardware does so natively, in bfloat16.

Parameters, their gradients and everything that leaves a client stay float32: autocast rounds to bfloat16 what
goes into convolutions and matrix products, and keeps the sums of the loss in float32.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

Precision = Literal["fp32", "bf16"]

NATIVE_BF16 = ("amx_bf16", "avx512_bf16", "bf16")
"""What PyTorch calls instructions of x86 and Arm processors that multiply bfloat16 numbers."""


def resolve_precision(wanted: str, device: torch.device) -> Precision:
    """Return the precision meant by ``auto``, ``fp32`` or ``bf16`` on `device`.

    Emulated bfloat16 is right and slow, ten times slower than float32 on an older processor: ``auto`` takes
    it only where it is native.
    """
    if wanted == "auto":
        return "bf16" if computes_bf16(device) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def computes_bf16(device: torch.device) -> bool:
    """Return whether `device` computes bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Versions of PyTorch that cannot tell are taken to say no.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in NATIVE_BF16)


def logits_of(model: nn.Module, images: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return what `model` makes of `images`, computed in `precision`, as float32 ``(n, num_classes)``."""
    if precision == "fp32":
        logits: torch.Tensor = model(images)
        return logits
    # Each weight is used once a pass: there is nothing to be gained from keeping its rounded form.
    with torch.autocast(images.device.type, torch.bfloat16, cache_enabled=False):
        rounded: torch.Tensor = model(images)
    return rounded.float()
