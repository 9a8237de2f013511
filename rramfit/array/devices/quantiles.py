"""Quantile tables: every family of level distributions as one tensor, drawn by interpolation.

A conductance is Q_k(Φ(z)) with z standard normal. On that latent scale every family is smooth and
nearly straight, so one table of `KNOTS` values over z = ±`REACH`, linear between knots and beyond
the ends, stands for any of them: one gather and one multiplication an element, on any device,
whatever the families of a card. The table is the distribution that is drawn. With 2,049 knots its
distance from the family is at most h²/8 = 4.3e-6 of the second derivative, and one draw in 5e8
falls beyond its ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from rramfit.card.families import family
from rramfit.errors import ArrayError

__all__ = ["KNOTS", "REACH", "interpolate", "latent_knots", "quantile_table"]

Floats = NDArray[np.float64]

KNOTS = 2049
REACH = 6.0


def latent_knots() -> Floats:
    """Latent values at which tables are kept, (KNOTS,)."""
    return np.linspace(-REACH, REACH, KNOTS)


def quantile_table(name: str, parameters: Mapping[str, float]) -> Floats:
    """Q(Φ(z)) of one family on the latent knots, (KNOTS,) [S].

    Raises
    ------
    ArrayError
        If the family is unknown, or its parameters give no rising, finite quantiles.

    Examples
    --------
    >>> table = quantile_table("lognormal", {"mu": -9.0, "sigma": 0.1})
    >>> f"{table[KNOTS // 2] * 1e6:.2f} uS"
    '123.41 uS'
    """
    try:
        distribution = family(name)
    except KeyError as e:
        raise ArrayError(str(e.args[0])) from None
    table = np.asarray(distribution.ppf(special.ndtr(latent_knots()), parameters), dtype=np.float64)
    if not (np.isfinite(table).all() and (np.diff(table) >= 0).all()):
        msg = f"{name} with {dict(parameters)} has no finite, rising quantiles; mend the card"
        raise ArrayError(msg)
    return table


def interpolate(tables: Tensor, level: Tensor, z: Tensor) -> Tensor:
    """Conductances of latent values, each from the table of its own level [S].

    Parameters
    ----------
    tables : (level, KNOTS) tensor
        [S]
    level : integer tensor
        Which table; broadcasts against `z`.
    z : tensor
        Standard normal. The result is differentiable in it and in `tables`.
    """
    knots = tables.shape[1]
    at = (z + REACH) * ((knots - 1) / (2 * REACH))
    below = at.detach().floor().clamp_(0, knots - 2)
    index = below.long() + level * knots
    flat = tables.reshape(-1)
    low = torch.take(flat, index)
    return low + (at - below) * (torch.take(flat, index + 1) - low)
