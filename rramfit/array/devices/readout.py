"""The column read-out chain: amplifier and ADC, one channel per column.

    code = clip(round(offset + gain·I + third·(I/full_scale)³ + noise·ε), 0, 2^bits − 1)

Gain [LSB/A] and offset [LSB] are taken at zero current; third is the cubic term at full scale
[LSB]. A card's noise is that of one code and includes the rounding variance of 1/12, which is
subtracted here. Channels listed in a card keep their values; the others are drawn about the mean
with the card's spreads. If a card has only the largest INL, from the best-fit line, the cubic term
is the one with that INL. Nonlinearity of any other form is not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.card.schema import ReadoutCard

__all__ = ["ReadoutChannels", "cubic_inl", "draw_channels"]


def cubic_inl(low: float, high: float) -> float:
    """Compute the largest distance of u³ from its least-squares line over low <= u <= high.

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
    """Transfer function of every channel."""

    gain: Tensor  # [LSB/A]  (chip, channel)
    offset: Tensor  # [LSB]    (chip, channel)
    third: Tensor  # [LSB]    (chip, channel)
    noise: float  # [LSB] before rounding
    full_scale: float  # [A]
    bits: int

    def transfer(self, current: Tensor, *, axis: int = -1) -> Tensor:
        """Return the code without noise and rounding; differentiable.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A]
        axis : int
            Axis of the channels.

        Returns
        -------
        tensor
            [LSB]
        """
        gain, offset, cubic = self._along(current, axis)
        return torch.addcmul(offset, current, torch.addcmul(gain, cubic, current * current))

    def digitise(self, current: Tensor, *, generator: torch.Generator, axis: int = -1) -> Tensor:
        """Return the codes of column currents, integers from 0 to 2^bits − 1.

        Parameters
        ----------
        current : (chip, ..., channel) tensor
            [A]; no gradient is kept.
        generator : torch.Generator
            On the channels' device.
        axis : int
            Axis of the channels.
        """
        gain, offset, cubic = self._along(current, axis)
        code = current.square()
        code.mul_(cubic).add_(gain).mul_(current).add_(offset)  # in place, to stay in the cache
        if self.noise > 0:
            noise = torch.randn(
                code.shape, generator=generator, device=code.device, dtype=code.dtype
            )
            code.add_(noise, alpha=self.noise)
        return code.round_().clamp_(0, 2**self.bits - 1)

    def _along(self, current: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return gain, offset and cubic coefficient, reshaped to the axis of the channels."""
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
    """Draw the read-out chains of `count` chips.

    Parameters
    ----------
    card : ReadoutCard
        Without a gain, full scale gives the highest code.
    count, channels : int
    generator : torch.Generator
        The channels are on its device.
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
    cubic = torch.full((count, channels), third, dtype=dtype, device=device)
    mean_inl = of("inl") or sum(card.channel_inl) / max(len(card.channel_inl), 1)
    if mean_inl > 0:  # a channel bows as its own nonlinearity says, with the sign of the mean
        columns = card.channels or range(len(card.channel_inl))
        for column, value in zip(columns, card.channel_inl, strict=False):
            if column < channels:
                cubic[:, column] = third * value / mean_inl
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
        third=cubic,
        noise=math.sqrt(max(of("noise") ** 2 - 1 / 12, 0.0)),
        full_scale=full_scale,
        bits=card.bits,
    )
