"""Noise of one read of a cell, at its level or failed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.parameters import NOISE_RANGE
from rramfit.card.schema import ReadNoiseCard

__all__ = ["ReadNoise", "off_level_noise"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadNoise:
    """Noise of one read: scale·(G/reference)^power of the level whose distribution a cell follows.

    Failed and stuck cells follow a power law of their own if the card has one, with `off_level`
    its scale [S], reference [S] and power.
    """

    scale: Tensor  # [S] (level,)
    reference: Tensor  # [S] (level,) the level's mean; far above all states if that is 0
    power: float
    off_level: tuple[float, float, float] | None = None

    def std(self, conductance: Tensor, level: Tensor, off: Tensor | None = None) -> Tensor:
        """Return the standard deviation of one read of each cell [S].

        Parameters
        ----------
        conductance : tensor
            [S]
        level : integer tensor
            Level whose distribution each cell follows.
        off : bool tensor, optional
            Cells that failed or are stuck.
        """
        std = self.scale[level]
        if self.power != 0:
            relative = (conductance / self.reference[level]).clamp(NOISE_RANGE, 1 / NOISE_RANGE)
            std = std * relative**self.power
        if off is None or self.off_level is None:
            return std
        scale, reference, power = self.off_level
        relative = (conductance / reference).clamp(NOISE_RANGE, 1 / NOISE_RANGE)
        return torch.where(off, scale * relative**power, std)

    def silent(self) -> ReadNoise:
        """Return a read noise of zero."""
        return ReadNoise(scale=torch.zeros_like(self.scale), reference=self.reference, power=0.0)


def off_level_noise(noise: ReadNoiseCard | None) -> tuple[float, float, float] | None:
    """Return scale [S], reference [S] and power of the noise of failed and stuck cells."""
    off = noise.off_level if noise else None
    if off is None:
        return None
    reference = off.reference_conductance.value
    return (
        off.coefficient.value * reference,
        reference,
        1 + (off.exponent.value if off.exponent else 0.0),
    )
