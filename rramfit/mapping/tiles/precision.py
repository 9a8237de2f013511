"""Precision of digital numbers: floating point with a significand of a given number of bits.

bfloat16 has 8 bits, float16 has 11, float32 has 24. The exponent is not limited.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["round_significand"]


def round_significand(x: Tensor, bits: int | None) -> Tensor:
    """Round numbers to a significand of `bits`, with a straight-through gradient.

    Examples
    --------
    >>> round_significand(torch.tensor([1.0, 1.3, -0.013]), 3).tolist()
    [1.0, 1.25, -0.013671875]
    """
    if bits is None:
        return x
    significand, exponent = torch.frexp(x.detach())
    rounded = torch.ldexp((significand * 2.0**bits).round() / 2.0**bits, exponent)
    return x + (rounded - x).detach() if x.requires_grad else rounded
