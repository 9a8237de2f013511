"""Block of a transformer: attention and a two-layer network, each after a norm, with shortcuts.

The projections of attention and the two layers are linear layers, which are mapped to tiles. The
products of queries, keys and values, softmax, norms and activations are digital.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["TransformerBlock"]

WIDER = 2
"""Width between the two layers, relative to the block's."""


class TransformerBlock(nn.Module):
    """One block on tokens (sample, position, width)."""

    def __init__(self, width: int, heads: int, *, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inputs, self.outputs = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, WIDER * width), nn.Linear(WIDER * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Add attention over positions, then the two layers at each position."""
        n, positions, width = x.shape
        split = self.inputs(self.norm1(x)).reshape(n, positions, 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + self.dropout(self.outputs(found.transpose(1, 2).reshape(n, positions, width)))
        out: Tensor = x + self.dropout(self.narrow(F.gelu(self.wide(self.norm2(x)))))
        return out
