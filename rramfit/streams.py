"""Named random streams: independent generators from one seed.

The numbers of a stream depend only on the seed and on its name, so adding a stream (for example
"failure") never changes another (for example "d2d"). rramfit never seeds a global generator.
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
    """Return the NumPy generator of the stream `name` for `seed`.

    Examples
    --------
    >>> float(stream(1, "d2d").standard_normal()) == float(stream(1, "d2d").standard_normal())
    True
    """
    return np.random.default_rng([seed, _key(name)])


def torch_stream(seed: int, name: str, *, device: str | torch.device = "cpu") -> torch.Generator:
    """Return the PyTorch generator of the stream `name` for `seed`, on `device`."""
    import torch

    state = np.random.SeedSequence([seed, _key(name)]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))
