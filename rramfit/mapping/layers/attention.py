"""Multi-head attention with its four projections on tiles.

`torch.nn.MultiheadAttention` passes its weights to one fused function, so its parts cannot be
replaced one by one. Here the projections of query, key, value and output are separate matrices on
tiles; scores, softmax and the weighted sum stay digital. Added bias rows and zero attention raise
an error. Nested tensors are not supported.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import MappingError
from rramfit.mapping.layers.many_matrices import ManyMatrices
from rramfit.mapping.layers.matrix_layer import keep_hooks
from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = ["AnalogMultiheadAttention"]

_PARTS = ("query", "key", "value", "output")


class AnalogMultiheadAttention(ManyMatrices, nn.MultiheadAttention):
    """Multi-head attention whose projections are stored in cells of one card."""

    @classmethod
    def from_digital(
        cls,
        layer: nn.MultiheadAttention,
        setup: AnalogSetup,
        *,
        name: str = "attention",
        vectors: int = 1,
        seed: int = 0,
    ) -> Self:
        """Convert a digital layer and share its parameters; `vectors`: tokens per sample.

        Raises
        ------
        MappingError
            If the layer adds bias rows or zero attention.
        """
        if layer.bias_k is not None or layer.add_zero_attn:
            msg = f"{name}: add_bias_kv and add_zero_attn cannot be mapped to tiles; turn them off"
            raise MappingError(msg)
        new = cls.__new__(cls)
        nn.Module.__init__(new)
        new.__dict__.update({k: v for k, v in layer.__dict__.items() if not k.startswith("_")})
        for kind in ("_parameters", "_buffers", "_modules"):
            new.__dict__[kind] = dict(layer.__dict__[kind])
        new._qkv_same_embed_dim = layer._qkv_same_embed_dim  # noqa: SLF001
        new.map_projections(
            setup, name=name, kind="attention", vectors=vectors, seed=seed, parts=list(_PARTS)
        )
        keep_hooks(new, layer)
        return new

    def to_digital(self) -> nn.MultiheadAttention:
        """Return the digital layer with the same parameters."""
        new = nn.MultiheadAttention(
            self.embed_dim,
            self.num_heads,
            dropout=self.dropout,
            bias=self.in_proj_bias is not None,
            kdim=self.kdim,
            vdim=self.vdim,
            batch_first=self.batch_first,
        )
        for kind in ("_parameters", "_modules"):
            new.__dict__[kind] = dict(self.__dict__[kind])
        keep_hooks(new, self)
        return new.train(self.training)

    def projection_weight(self, part: str) -> Tensor:
        """Return the weight (output, input) of one projection."""
        if part == "output":
            return self.out_proj.weight
        if self._qkv_same_embed_dim:
            return self.in_proj_weight.chunk(3)[_PARTS.index(part)]
        names = {"query": "q_proj_weight", "key": "k_proj_weight", "value": "v_proj_weight"}
        weight: Tensor = getattr(self, names[part])
        return weight

    def _heads(self, x: Tensor) -> Tensor:  # (batch, token, embed) -> (batch, head, token, .)
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,  # as in torch, a hint that requires a mask
    ) -> tuple[Tensor, Tensor | None]:
        """Compute attention; arguments and results as in `torch.nn.MultiheadAttention`."""
        if is_causal and attn_mask is None:
            msg = "is_causal requires attn_mask, as in torch.nn.MultiheadAttention; pass the mask"
            raise MappingError(msg)
        batched = query.dim() == 3
        first = self.batch_first or not batched
        q, k, v = (x if batched else x[None] for x in (query, key, value))
        if not first:
            q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        bias: Tensor | None = self.in_proj_bias
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        q, k, v = (
            self._heads(self.project(part, self.chip_of(part), x, b))
            for part, x, b in zip(_PARTS, (q, k, v), biases, strict=False)
        )
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if attn_mask is not None:
            mask = attn_mask
            if mask.dim() == 3:
                mask = mask.reshape(-1, self.num_heads, *mask.shape[1:])
            scores = scores + _additive(mask, scores)
        if key_padding_mask is not None:
            padding = key_padding_mask if batched else key_padding_mask[None]
            scores = scores + _additive(padding[:, None, None], scores)
        weights = scores.softmax(-1)
        mixed = F.dropout(weights, self.dropout, training=self.training) @ v
        mixed = mixed.transpose(1, 2).flatten(2)
        out = self.project("output", self.chip_of("output"), mixed, self.out_proj.bias)
        if not first:
            out = out.transpose(0, 1)
        shown = None
        if need_weights:
            shown = weights.mean(1) if average_attn_weights else weights
            shown = shown if batched else shown[0]
        return (out if batched else out[0]), shown


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask to add to scores: −∞ where a boolean mask is true."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -torch.inf)
