"""Named random streams: one seed in, independent generators out.

A stream's numbers depend on the seed and on its own name alone, so adding a stream, say
"failure", never shifts another, say "d2d". Nothing in rramfit seeds a global generator.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["stream", "torch_stream"]


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def stream(seed: int, name: str) -> np.random.Generator:
    """Numpy generator of the stream `name` under `seed`.

    Examples
    --------
    >>> float(stream(1, "d2d").standard_normal()) == float(stream(1, "d2d").standard_normal())
    True
    """
    return np.random.default_rng([seed, _key(name)])


def torch_stream(seed: int, name: str, *, device: str | torch.device = "cpu") -> torch.Generator:
    """Torch generator of the stream `name` under `seed`, on `device`."""
    import torch

    state = np.random.SeedSequence([seed, _key(name)]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))
