"""The column read-out chain: amplifier and ADC, one channel a column.

    code = clip(round(offset + gain·I + third·(u³ − line(u)) + noise·ε), 0, 2^bits − 1)

with u = I/full_scale and `line` the least-squares line of u³ over the currents that are not
clipped, so that gain [LSB/A] and offset (the code at no current) are those of the best-fit line, as
in a card, and third is the cubic part at full scale [LSB]. Where a card lists channels, columns
have them in turn; else they are drawn about the mean with the card's spreads. A card that gives
only its largest INL gets the cubic that has it. INL of any other form is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.card.schema import ReadoutCard

__all__ = ["ReadoutChannels", "draw_channels"]


def _cubic_line(low: float, high: float) -> tuple[float, float, float]:
    """Least-squares line of u³ over low <= u <= high: intercept, slope, and largest distance."""
    m, h = (low + high) / 2, (high - low) / 2
    slope = 3 * m**2 + 0.6 * h**2
    intercept = m**3 + m * h**2 - slope * m
    turns = [sign * math.sqrt(slope / 3) for sign in (-1, 1)]
    ends = [low, high, *(u for u in turns if low < u < high)]
    return intercept, slope, max(abs(u**3 - intercept - slope * u) for u in ends)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutChannels:
    """Transfer of every channel."""

    gain: Tensor  # [LSB/A]  (chip, channel)
    offset: Tensor  # [LSB]    (chip, channel)
    third: Tensor  # [LSB]    (chip, channel)
    cubic_line: tuple[float, float]  # intercept and slope taken off u³
    noise: float  # [LSB]
    full_scale: float  # [A]
    bits: int

    def transfer(self, current: Tensor) -> Tensor:
        """Noiseless, unrounded code; differentiable.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A]

        Returns
        -------
        tensor
            [LSB]
        """
        lead = (self.gain.shape[0], *(1,) * (current.ndim - 2), self.gain.shape[1])
        gain, offset, third = (x.reshape(lead) for x in (self.gain, self.offset, self.third))
        u = current / self.full_scale
        intercept, slope = self.cubic_line
        return offset + gain * current + third * (u**3 - intercept - slope * u)

    def digitise(self, current: Tensor, *, generator: torch.Generator) -> Tensor:
        """Codes of column currents, whole numbers from 0 to 2^bits − 1.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A]
        generator : torch.Generator
            On the channels' device.
        """
        code = self.transfer(current)
        if self.noise > 0:
            noise = torch.randn(
                code.shape, generator=generator, device=code.device, dtype=code.dtype
            )
            code = code + self.noise * noise
        return code.round().clamp(0, 2**self.bits - 1)


def draw_channels(
    card: ReadoutCard,
    count: int,
    channels: int,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> ReadoutChannels:
    """Read-out chains of `count` chips.

    Parameters
    ----------
    card : ReadoutCard
        Without a gain, full scale comes to the highest code.
    count, channels : int
    generator : torch.Generator
        The channels lie on its device.
    dtype : torch.dtype
    """

    def of(name: str) -> float:
        quantity = getattr(card, name)
        return 0.0 if quantity is None else float(quantity.value)

    device, full_scale = generator.device, card.full_scale.value
    offset = of("offset")
    gain = of("gain") or (2**card.bits - 1 - offset) / full_scale
    low = max(-offset / (gain * full_scale), -1.0)
    high = min((2**card.bits - 1 - offset) / (gain * full_scale), 1.0)
    intercept, slope, farthest = _cubic_line(low, high)
    third = of("third_order") or of("inl") / farthest
    drawn = torch.randn((2, count, channels), generator=generator, device=device, dtype=dtype)

    def listed(values: list[float], mean: float, spread: float, noise: Tensor) -> Tensor:
        if not values:
            return mean + spread * noise
        each = torch.tensor(values, dtype=dtype, device=device)
        return each[torch.arange(channels, device=device) % len(each)].expand(count, channels)

    return ReadoutChannels(
        gain=listed(card.channel_gain, gain, gain * of("gain_spread"), drawn[0]),
        offset=listed(card.channel_offset, offset, of("offset_spread"), drawn[1]),
        cubic_line=(intercept, slope),
        third=torch.full((count, channels), third, dtype=dtype, device=device),
        noise=of("noise"),
        full_scale=full_scale,
        bits=card.bits,
    )
