"""A small language model of characters, and English text that an installed package ships.

The text is scikit-learn's descriptions of its data sets. A sample is 32 characters; its labels are
the next characters. The first four fifths are for training, the rest for the test. Characters are
numbered by `ALPHABET`; all others have number 0.
"""

from __future__ import annotations

from importlib import resources

import torch
from torch import Tensor, nn

from rramfit.mapping.study.examples.transformer import TransformerBlock

__all__ = ["ALPHABET", "LanguageModel", "language_model", "text"]

ALPHABET = "\x00\n " + "".join(map(chr, range(33, 127)))
LENGTH = 32
DROPOUT = 0.2


def text() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return characters and next characters, (sample, position), for training and for the test.

    Examples
    --------
    >>> train, following, test, _ = text()
    >>> bool((train[:, 1:] == following[:, :-1]).all())
    True
    """
    folder = resources.files("sklearn.datasets") / "descr"
    files = sorted((x for x in folder.iterdir() if x.name.endswith(".rst")), key=lambda x: x.name)
    joined = "\n".join(x.read_text(encoding="utf-8") for x in files)
    number = {c: i for i, c in enumerate(ALPHABET)}
    tokens = torch.tensor([number.get(c, 0) for c in joined])
    samples = (len(tokens) - 1) // LENGTH
    inputs = tokens[: samples * LENGTH].reshape(samples, LENGTH)
    labels = tokens[1 : samples * LENGTH + 1].reshape(samples, LENGTH)
    train = samples * 4 // 5
    return inputs[:train], labels[:train], inputs[train:], labels[train:]


class LanguageModel(nn.Module):
    """Characters → embedding → causal transformer blocks → scores of the next character."""

    def __init__(self, *, tokens: int, length: int, width: int, blocks: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.place = nn.Embedding(length, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, 4, causal=True, dropout=DROPOUT) for _ in range(blocks))
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores (sample, position, token) of tokens (sample, position)."""
        at = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens) + self.place(at)
        out: Tensor = self.head(self.norm(self.blocks(x)))
        return out


def language_model() -> nn.Module:
    """Make a language model for the characters of `text`.

    Examples
    --------
    >>> sum(p.numel() for p in language_model().parameters())
    81633
    """
    return LanguageModel(tokens=len(ALPHABET), length=LENGTH, width=64, blocks=2)
