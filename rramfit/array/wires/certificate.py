"""Error of a crossbar estimate against the exact solver, on the caller's tiles and inputs.

The error of a column current is given in % of full scale, because a converter's step is a share of
full scale: the largest column current, or the full scale of the caller's converters. To compare
arrays it is also given in % of the mean column current. If the 99th percentile exceeds
`LIMIT_PERCENT`, a warning asks to renew the anchor or to solve exactly.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.effective import column_currents
from rramfit.array.wires.estimate import CrossbarEstimate
from rramfit.errors import ArrayError, RramfitWarning
from rramfit.units import counted, format_quantity

__all__ = ["LIMIT_PERCENT", "Certificate", "certify"]

LIMIT_PERCENT = 3.0
"""Largest acceptable error of an estimate at the 99th percentile [% of full scale]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Error of an estimate over sampled tiles and inputs."""

    rms: float  # [% of full scale]
    p99: float  # [% of full scale] 99th percentile of the absolute error
    rms_of_mean: float  # [% of the mean column current]
    full_scale: float  # [A]
    tiles: int
    vectors: int  # per tile
    anchored: bool

    @property
    def ok(self) -> bool:
        """Return whether the 99th percentile is within `LIMIT_PERCENT`."""
        return self.p99 <= LIMIT_PERCENT

    def summary(self) -> str:
        """Format the certificate in one line."""
        kind = "anchored" if self.anchored else "smooth"
        scale = format_quantity(self.full_scale, "A")
        return (
            f"error of the {kind} estimate against the exact solver: rms {self.rms:.2g} %, 99th "
            f"percentile {self.p99:.2g} % of full scale ({scale}); "
            f"{counted(self.tiles, 'tile')}, {counted(self.vectors, 'vector')}"
        )


def certify(
    estimate: CrossbarEstimate,
    conductance: Tensor,
    voltage: Tensor,
    *,
    active: Tensor | None = None,
    full_scale: float | None = None,
) -> Certificate:
    """Compare an estimate with the exact solver.

    Parameters
    ----------
    estimate : CrossbarEstimate
    conductance : (tile, m, n) tensor
        Tiles in use [S]; for an anchored estimate, the present state of the tiles of its anchor.
    voltage : (tile or 1, vector, m) tensor
        Inputs in use [V].
    active : bool tensor like `voltage`, optional
        Driven rows; by default those whose voltage is not zero.
    full_scale : float, optional
        Current that counts as 100 % [A]; by default the largest exact column current.

    Returns
    -------
    Certificate

    Raises
    ------
    ArrayError
        If no column carries a current.

    Warns
    -----
    RramfitWarning
        If the 99th percentile exceeds `LIMIT_PERCENT` of full scale.
    """
    with torch.no_grad():
        exact = column_currents(conductance, voltage, estimate.line, active=active)
        found = estimate.column_currents(conductance, voltage, active=active)
        error = (found - exact).abs().double().flatten()
        scale = float(exact.abs().max()) if full_scale is None else full_scale
        if not scale > 0:
            msg = "no column carries a current; certify with the inputs in use"
            raise ArrayError(msg)
        rms = float(error.square().mean().sqrt())
        rank = max(1, round(0.99 * error.numel()))
        certificate = Certificate(
            rms=100 * rms / scale,
            p99=100 * float(error.kthvalue(rank).values) / scale,
            rms_of_mean=100 * rms / float(exact.abs().double().mean()),
            full_scale=scale,
            tiles=conductance.shape[0],
            vectors=voltage.shape[-2],
            anchored=estimate.anchored,
        )
    if not certificate.ok:
        warnings.warn(
            f"{certificate.summary()}. The limit is {LIMIT_PERCENT:g} %: renew the anchor or solve "
            "exactly.",
            RramfitWarning,
            stacklevel=2,
        )
    return certificate
