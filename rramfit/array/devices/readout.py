"""The column read-out chain: amplifier and ADC, one channel a column.

    code = clip(round(offset + gain·I + third·(I/full_scale)³ + noise·ε), 0, 2^bits − 1)

Gain [LSB/A] and offset are those at no current, third is the cubic part at full scale [LSB]. A
card's noise is that of one code, rounding's variance of 1/12 in it, which is taken out here. Where
a card tells of single channels, those columns have them; the others are drawn about the mean with
the card's spreads. A card that gives only its largest INL, from the best-fit line, gets the cubic
that has it; nonlinearity of any other form is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.card.schema import ReadoutCard

__all__ = ["ReadoutChannels", "cubic_inl", "draw_channels"]


def cubic_inl(low: float, high: float) -> float:
    """Largest distance of u³ from its least-squares line over low <= u <= high.

    Examples
    --------
    >>> f"{cubic_inl(-1, 1):.3f} {cubic_inl(0, 1):.3f}"
    '0.400 0.300'
    """
    m, h = (low + high) / 2, (high - low) / 2
    slope = 3 * m**2 + 0.6 * h**2
    intercept = m**3 + m * h**2 - slope * m
    turns = [sign * math.sqrt(slope / 3) for sign in (-1, 1)]
    ends = [low, high, *(u for u in turns if low < u < high)]
    return max(abs(u**3 - intercept - slope * u) for u in ends)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadoutChannels:
    """Transfer of every channel."""

    gain: Tensor  # [LSB/A]  (chip, channel)
    offset: Tensor  # [LSB]    (chip, channel)
    third: Tensor  # [LSB]    (chip, channel)
    noise: float  # [LSB] before rounding
    full_scale: float  # [A]
    bits: int

    def transfer(self, current: Tensor, *, axis: int = -1) -> Tensor:
        """Noiseless, unrounded code; differentiable.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A]
        axis : int
            Where the channels are.

        Returns
        -------
        tensor
            [LSB]
        """
        gain, offset, cubic = self._along(current, axis)
        return torch.addcmul(offset, current, torch.addcmul(gain, cubic, current * current))

    def digitise(self, current: Tensor, *, generator: torch.Generator, axis: int = -1) -> Tensor:
        """Codes of column currents, whole numbers from 0 to 2^bits − 1.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A] without a gradient.
        generator : torch.Generator
            On the channels' device.
        axis : int
            Where the channels are.
        """
        gain, offset, cubic = self._along(current, axis)
        code = current.square()
        code.mul_(cubic).add_(gain).mul_(current).add_(offset)  # in place: it stays in the cache
        if self.noise > 0:
            noise = torch.randn(
                code.shape, generator=generator, device=code.device, dtype=code.dtype
            )
            code.add_(noise, alpha=self.noise)
        return code.round_().clamp_(0, 2**self.bits - 1)

    def _along(self, current: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """Gain, offset and cubic coefficient, laid along the axis of the channels."""
        lead = [1] * current.ndim
        lead[0], lead[axis] = self.gain.shape
        cubic = self.third / self.full_scale**3
        return self.gain.reshape(lead), self.offset.reshape(lead), cubic.reshape(lead)


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

    device, full_scale, top = generator.device, card.full_scale.value, 2**card.bits - 1
    offset = of("offset")
    gain = of("gain") or (top - offset) / full_scale
    third = of("third_order")
    if not third and of("inl"):
        edges = sorted((-offset / (gain * full_scale), (top - offset) / (gain * full_scale)))
        third = of("inl") / cubic_inl(max(edges[0], -1.0), min(edges[1], 1.0))
    noise = torch.randn((2, count, channels), generator=generator, device=device, dtype=dtype)
    drawn = {
        "gain": gain * (1 + of("gain_spread") * noise[0]),
        "offset": offset + of("offset_spread") * noise[1],
    }
    for name, listed in (("gain", card.channel_gain), ("offset", card.channel_offset)):
        columns = card.channels or range(len(listed))
        for column, value in zip(columns, listed, strict=False):
            if column < channels:
                drawn[name][:, column] = value
    return ReadoutChannels(
        gain=drawn["gain"],
        offset=drawn["offset"],
        third=torch.full((count, channels), third, dtype=dtype, device=device),
        noise=math.sqrt(max(of("noise") ** 2 - 1 / 12, 0.0)),
        full_scale=full_scale,
        bits=card.bits,
    )
