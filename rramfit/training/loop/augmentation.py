"""Augmentation of whole batches: a shift into a black border, a mirror image, a hole.

A crop of c pixels is a shift by −c … c on either axis with what comes in from outside at 0, the
mean of images that are shifted and scaled. A hole is a square about any pixel, cut at the edges.
Which image gets what is drawn from the generator that is handed in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["augment"]


def augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    crop: int = 0,
    flip: bool = False,
    cutout: int = 0,
) -> Tensor:
    """Augment images, (sample, channel, height, width).

    Parameters
    ----------
    images : tensor
    generator : torch.Generator
        On the CPU, so that a seed means the same on every device.
    crop : int
        Largest shift [pixel].
    flip : bool
        Mirror every other image, on average, left to right.
    cutout : int
        Side of the hole [pixel].

    Returns
    -------
    tensor
        Of the same shape; its memory has channels last.
    """
    n, _, height, width = images.shape

    def drawn(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n, 1), generator=generator).to(images.device)

    rows = torch.arange(height, device=images.device).expand(n, -1)
    cols = torch.arange(width, device=images.device).expand(n, -1)
    out = images.permute(0, 2, 3, 1)
    if flip:
        cols = torch.where(drawn(0, 1) == 1, width - 1 - cols, cols)
    if crop:
        out = F.pad(out, (0, 0, crop, crop, crop, crop))
        rows, cols = rows + drawn(0, 2 * crop), cols + drawn(0, 2 * crop)
    if crop or flip:
        out = out[
            torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], cols[:, None]
        ]
    if cutout:
        top, left = (drawn(0, side - 1) - cutout // 2 for side in (height, width))
        r, c = (torch.arange(side, device=images.device) for side in (height, width))
        hole = ((r >= top) & (r < top + cutout))[:, :, None]
        hole = hole & ((c >= left) & (c < left + cutout))[:, None]
        out = out.masked_fill(hole[..., None], 0.0)
    return out.permute(0, 3, 1, 2)
