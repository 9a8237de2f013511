"""A small vision transformer for the 8 × 8 digits: 16 patches of 2 × 2 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rramfit.mapping.study.examples.transformer import TransformerBlock

__all__ = ["VisionTransformer", "vision_transformer"]


class VisionTransformer(nn.Module):
    """Patches → transformer blocks → mean over patches → classes."""

    def __init__(
        self, *, size: int, patch: int, channels: int, classes: int, width: int, blocks: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.place = nn.Embedding((size // patch) ** 2, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, 4, causal=False) for _ in range(blocks))
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores of images (sample, channel, height, width)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        places = self.place(torch.arange(tokens.shape[1], device=tokens.device))
        out: Tensor = self.head(self.norm(self.blocks(tokens + places)).mean(1))
        return out


def vision_transformer() -> nn.Module:
    """Make a vision transformer for scikit-learn's digits.

    Examples
    --------
    >>> sum(p.numel() for p in vision_transformer().parameters())
    18154
    """
    return VisionTransformer(size=8, patch=2, channels=1, classes=10, width=32, blocks=2)
