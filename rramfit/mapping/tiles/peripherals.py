"""What stands around a tile: how inputs become voltages, and currents become numbers.

Inputs are coded as amplitudes, x → V = V_read·round(n·x/x_max)/n with n = 2^bits − 1, or bit by
bit, each bit a pass of 0 or V_read whose result is shifted and added. Conductances know no sign:
where inputs have one, amplitudes go in two passes, positive and negative parts, and bits are those
of the two's complement. A pass is a coefficient and voltages between 0 and V_read,

    x ≈ Σ_pass coefficient·fraction

Column currents, scaled so that a tile's own range comes to the converter's full scale, meet the
channels of `rramfit.array.devices.readout`; from their codes

    I = range/full_scale·(code − offset)/gain

where gain and offset are the card's mean ones (`none`), each column's own offset (`offset`), own
offset and gain (`linear`), or the cubic is undone as well (`cubic`). Quantising is
straight-through: within its range a converter hands the gradient on as if it had endless bits.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rramfit.array.devices.readout import ReadoutChannels
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ReadoutCard
from rramfit.errors import MappingError

__all__ = [
    "Pass",
    "Peripherals",
    "digitise",
    "drive",
    "readout_at",
    "spread_over",
    "stretched",
    "taken_for",
    "without_bow",
    "without_errors",
]

ADC_BITS = 8
"""Of a converter of which neither card nor caller says anything."""

_CODINGS = ("amplitude", "bit_serial")
_CORRECTIONS = ("none", "offset", "linear", "cubic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peripherals:
    """Converters around every tile, and what is put right behind them."""

    input_coding: Literal["amplitude", "bit_serial"] = "amplitude"
    dac_bits: int = 8  # of an amplitude, or bits that are sent
    adc_bits: int | None = None  # the card's, else 8
    adc_range: Literal["calibrated", "card"] = "calibrated"
    correction: Literal["none", "offset", "linear", "cubic"] = "linear"
    wire_correction: bool = True  # a gain for each column's nominal loss in the wires
    read_voltage: float | None = None  # [V] the card's, else 0.2

    def __post_init__(self) -> None:
        for name, value, known in (
            ("input_coding", self.input_coding, _CODINGS),
            ("correction", self.correction, _CORRECTIONS),
            ("adc_range", self.adc_range, ("calibrated", "card")),
        ):
            if value not in known:
                msg = f"{name} is {value!r}; expected one of {', '.join(known)}"
                raise MappingError(msg)
        for name, bits in (("dac_bits", self.dac_bits), ("adc_bits", self.adc_bits)):
            if bits is not None and not 1 <= bits <= 24:
                msg = f"{name} is {bits}; expected 1 to 24"
                raise MappingError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One set of voltages on the rows."""

    coefficient: float  # [input]
    fraction: Tensor  # of the read voltage


def _through(rounded: Tensor, smooth: Tensor) -> Tensor:
    """Value of the first, gradient of the second."""
    if not smooth.requires_grad:
        return rounded
    return smooth + (rounded - smooth).detach()


def drive(
    x: Tensor, largest: float, peripherals: Peripherals, *, signed: bool, quantised: bool = True
) -> list[Pass]:
    """Voltages that stand for inputs.

    Parameters
    ----------
    x : tensor
    largest : float
        Input that takes the whole read voltage; larger ones are cut.
    peripherals : Peripherals
    signed : bool
        Whether there are inputs below zero; where not, they are cut.
    quantised : bool
        Without it, amplitudes of endless precision, and none cut but at zero.

    Examples
    --------
    >>> coding = Peripherals(input_coding="bit_serial", dac_bits=3)
    >>> passes = drive(torch.tensor([-1.0, 0.5]), 1.0, coding, signed=True)
    >>> [(round(p.coefficient, 2), p.fraction.tolist()) for p in passes]
    [(0.33, [1.0, 0.0]), (0.67, [0.0, 1.0]), (-1.33, [1.0, 0.0])]
    """
    share = x / largest
    if not quantised:
        if not signed:
            return [Pass(largest, share.clamp_min(0))]
        return [Pass(largest, share.clamp_min(0)), Pass(-largest, (-share).clamp_min(0))]
    if peripherals.input_coding == "bit_serial":
        return _bits(share, largest, peripherals.dac_bits, signed=signed)
    steps = 2**peripherals.dac_bits - 1

    def amplitude(part: Tensor) -> Tensor:
        part = part.clamp(0, 1)
        return _through((part * steps).round() / steps, part)

    if not signed:
        return [Pass(largest, amplitude(share))]
    return [Pass(largest, amplitude(share)), Pass(-largest, amplitude(-share))]


def _bits(share: Tensor, largest: float, bits: int, *, signed: bool) -> list[Pass]:
    """Make passes of zeros and ones; the gradient goes through the bits of positive weight."""
    if signed and bits < 2:
        msg = "signed inputs of 1 bit; expected at least 2"
        raise MappingError(msg)
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    share = share.clamp(-1 if signed else 0, 1)
    code = (share.detach() * top).round().long()
    passes = []
    for k in range(bits):
        bit = ((code >> k) & 1).to(share.dtype)
        if signed and k == bits - 1:
            passes.append(Pass(-largest * 2**k / top, bit))
        else:
            passes.append(Pass(largest * 2**k / top, _through(bit, share)))
    return passes


def readout_at(card: ReadoutCard | None, bits: int | None, full_scale: float) -> ReadoutCard:
    """Read-out chain of the bits asked for: the card's with its steps made finer or coarser.

    Parameters
    ----------
    card : ReadoutCard or None
        None: a converter without errors.
    bits : int or None
        The card's, else `ADC_BITS`.
    full_scale : float
        Where the card has no read-out [A].
    """
    if card is None:
        return ReadoutCard(bits=bits or ADC_BITS, full_scale=Quantity.given(full_scale, "A"))
    if bits is None or bits == card.bits:
        return card
    finer = (2**bits - 1) / (2**card.bits - 1)

    def scaled(q: Quantity | None) -> Quantity | None:
        return None if q is None else Quantity.given(q.value * finer, q.unit)

    return card.model_copy(
        update={
            "bits": bits,
            **{
                name: scaled(getattr(card, name))
                for name in ("gain", "offset", "inl", "third_order", "noise", "offset_spread")
            },
            "channel_gain": [x * finer for x in card.channel_gain],
            "channel_offset": [x * finer for x in card.channel_offset],
        }
    )


def without_errors(card: ReadoutCard) -> ReadoutCard:
    """Take the same bits and range with neither offset, spread, bow nor noise."""
    return ReadoutCard(bits=card.bits, full_scale=card.full_scale)


def digitise(
    current: Tensor,
    channels: ReadoutChannels,
    *,
    generator: torch.Generator,
    quantised: bool = True,
    axis: int = -1,
) -> Tensor:
    """Codes of column currents; straight-through.

    Parameters
    ----------
    current : (chip, ..., channel) tensor
        [A]
    channels : ReadoutChannels
    generator : torch.Generator
    quantised : bool
        Without it the chain's gain, offset, bow and noise only: no steps, no rails.
    axis : int
        Where the channels are.
    """
    if not quantised:
        smooth = channels.transfer(current, axis=axis)
        if channels.noise > 0:
            noise = torch.randn(
                smooth.shape, generator=generator, device=smooth.device, dtype=smooth.dtype
            )
            smooth = smooth + channels.noise * noise
        return smooth
    code = channels.digitise(current.detach(), generator=generator, axis=axis)
    if not current.requires_grad:
        return code
    smooth = channels.transfer(current, axis=axis)
    return _through(code, smooth.clamp(0, 2**channels.bits - 1))


def taken_for(channels: ReadoutChannels, correction: str) -> tuple[Tensor, Tensor]:
    """Offset [LSB] and gain [LSB/A] that codes are corrected by, each like the channels'."""
    gain, offset = channels.gain, channels.offset
    if correction in ("none", "offset"):
        gain = gain.mean().expand(gain.shape)
    if correction == "none":
        offset = offset.mean().expand(offset.shape)
    return offset, gain


def without_bow(code: Tensor, channels: ReadoutChannels, *, axis: int = -1) -> Tensor:
    """Codes as they would be if the channels' cubic part were none."""
    lead = [1] * code.ndim
    lead[0], lead[axis] = channels.gain.shape
    gain, offset, third = (
        x.reshape(lead) for x in (channels.gain, channels.offset, channels.third)
    )
    straight = code
    for _ in range(3):  # a small bow: each round leaves its share of the error
        straight = code - third * ((straight - offset) / (gain * channels.full_scale)) ** 3
    return straight


def stretched(channels: ReadoutChannels, stretch: Tensor) -> ReadoutChannels:
    """Channels behind an amplifier: those of currents that are `stretch` times smaller."""
    return dataclasses.replace(
        channels, gain=channels.gain * stretch, third=channels.third * stretch**3
    )


def spread_over(channels: ReadoutChannels, index: Tensor) -> ReadoutChannels:
    """Take channels in another order and shape: `index` counts through (tile, column)."""
    return dataclasses.replace(
        channels,
        gain=channels.gain.flatten()[index],
        offset=channels.offset.flatten()[index],
        third=channels.third.flatten()[index],
    )
