"""Augmentation of batches: random crop, horizontal flip, cutout.

A flip mirrors each image left to right, at random or, if alternating, in every second epoch: half
of the images, drawn once, in even epochs and the others in odd ones. A network then sees both sides
of an image equally often (Jordan, arXiv:2404.00498).

A crop of c pixels shifts an image by −c … c along each axis and fills the border with 0, the mean
of normalized images. Cutout sets a square around a random pixel to 0; the square is clipped at the
image edges. The given generator draws the augmentation of each image.
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
    flip: bool | Tensor = False,
    cutout: int = 0,
) -> Tensor:
    """Augment images, (sample, channel, height, width).

    Parameters
    ----------
    images : tensor
    generator : torch.Generator
        Generator on the CPU, so that results do not depend on the device.
    crop : int
        Largest shift [pixel].
    flip : bool or tensor of bool (sample,)
        Mirror each image left to right with probability 1/2, or the given images.
    cutout : int
        Side of the cutout square [pixel].

    Returns
    -------
    tensor
        Images of the same shape, in channels-last memory format.
    """
    n, _, height, width = images.shape

    def drawn(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n, 1), generator=generator).to(images.device)

    rows = torch.arange(height, device=images.device).expand(n, -1)
    cols = torch.arange(width, device=images.device).expand(n, -1)
    out = images.permute(0, 2, 3, 1)
    mirrored = flip[:, None] if isinstance(flip, Tensor) else drawn(0, 1) == 1 if flip else None
    if mirrored is not None:
        cols = torch.where(mirrored.to(images.device), width - 1 - cols, cols)
    if crop:
        out = F.pad(out, (0, 0, crop, crop, crop, crop))
        rows, cols = rows + drawn(0, 2 * crop), cols + drawn(0, 2 * crop)
    if crop or mirrored is not None:
        out = out[
            torch.arange(n, device=images.device)[:, None, None], rows[:, :, None], cols[:, None]
        ]
    if cutout:
        top, left = (drawn(0, side - 1) - cutout // 2 for side in (height, width))
        r, c = (torch.arange(side, device=images.device) for side in (height, width))
        inside = ((r >= top) & (r < top + cutout))[:, :, None]
        inside = inside & ((c >= left) & (c < left + cutout))[:, None]
        out = out.masked_fill(inside[..., None], 0.0)
    return out.permute(0, 3, 1, 2)
