"""Peripheral circuits of a tile: DACs for the inputs and ADCs for the column currents.

Inputs are coded as amplitudes, x → V = V_read·round(n·x/x_max)/n with n = 2^bits − 1, or
bit-serially: each bit is a pass with 0 or V_read on the rows, and the results are shifted and
added. Voltages are not negative. Signed amplitudes take two passes, for the positive and the
negative part; signed bit-serial inputs use two's complement. A pass is a coefficient and voltages
between 0 and V_read,

    x ≈ Σ_pass coefficient·fraction

Column currents are scaled so that a tile's range equals the converter's full scale, and digitised
by the channels of `rramfit.array.devices.readout`. The codes are converted back by

    I = range/full_scale·(code − offset)/gain

where gain and offset are the mean over columns (`none`), the offset is that of each column
(`offset`), offset and gain are those of each column (`linear`), or the cubic term is removed as
well (`cubic`). Offset, gain and cubic term are known exactly, or from `calibration_reads` noisy
reads (`rramfit.mapping.tiles.channel_calibration`). Quantisation is straight-through: within its
range a converter passes the gradient as if it had infinite resolution.

Digital numbers are float32, or have a significand of `digital_bits`: gains, offsets and scales of
columns, biases, and partial sums after each addition.
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
    "correction_terms",
    "digitise",
    "drive",
    "ideal_readout",
    "readout_at",
    "remove_cubic",
    "reorder_channels",
    "rescale_channels",
]

ADC_BITS = 8
"""ADC resolution if neither the card nor the caller specifies it."""

_CODINGS = ("amplitude", "bit_serial")
_CORRECTIONS = ("none", "offset", "linear", "cubic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peripherals:
    """Converters of every tile, and digital corrections of their outputs."""

    input_coding: Literal["amplitude", "bit_serial"] = "amplitude"
    dac_bits: int = 8  # resolution of an amplitude, or number of serial bits
    adc_bits: int | None = None  # None: the card's value, or 8
    adc_range: Literal["calibrated", "card"] = "calibrated"  # an amplifier per tile, or none
    correction: Literal["none", "offset", "linear", "cubic"] = "linear"
    wire_correction: bool = True  # correct each column's nominal loss in the wires by a gain
    read_voltage: float | None = None  # [V] None: the card's value, or 0.2
    calibration_reads: int | None = None  # per column and reference current; None: exact
    digital_bits: int | None = None  # significand of digital numbers; None: float32
    read_noise: Literal["white", "batch"] = "white"  # fresh for every vector, or for every batch

    def __post_init__(self) -> None:
        for name, value, known in (
            ("input_coding", self.input_coding, _CODINGS),
            ("correction", self.correction, _CORRECTIONS),
            ("adc_range", self.adc_range, ("calibrated", "card")),
            ("read_noise", self.read_noise, ("white", "batch")),
        ):
            if value not in known:
                msg = f"{name} is {value!r}; expected one of {', '.join(known)}"
                raise MappingError(msg)
        for name, bits in (("dac_bits", self.dac_bits), ("adc_bits", self.adc_bits)):
            if bits is not None and not 1 <= bits <= 24:
                msg = f"{name} is {bits}; expected 1 to 24"
                raise MappingError(msg)
        if self.digital_bits is not None and not 2 <= self.digital_bits <= 24:
            msg = f"digital_bits is {self.digital_bits}; expected 2 to 24"
            raise MappingError(msg)
        if self.calibration_reads is not None and self.calibration_reads < 1:
            msg = f"calibration_reads is {self.calibration_reads}; expected at least 1"
            raise MappingError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One set of row voltages."""

    coefficient: float  # [input]
    fraction: Tensor  # voltage divided by the read voltage


def _through(rounded: Tensor, smooth: Tensor) -> Tensor:
    """Return the value of `rounded` with the gradient of `smooth`."""
    if not smooth.requires_grad:
        return rounded
    return smooth + (rounded - smooth).detach()


def drive(
    x: Tensor, largest: float, peripherals: Peripherals, *, signed: bool, quantised: bool = True
) -> list[Pass]:
    """Convert inputs to passes of row voltages.

    Parameters
    ----------
    x : tensor
    largest : float
        Input that maps to the full read voltage; larger inputs are clipped.
    peripherals : Peripherals
    signed : bool
        Whether inputs can be negative; if not, negative inputs are clipped.
    quantised : bool
        If False, amplitudes are continuous and clipped only at zero.

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
    """Return passes of zeros and ones; the gradient uses the bits of positive weight."""
    if signed and bits < 2:
        msg = "dac_bits is 1 for signed inputs; expected at least 2"
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
    """Return the card's read-out chain, rescaled to another resolution.

    Parameters
    ----------
    card : ReadoutCard or None
        None: an ideal converter.
    bits : int or None
        None: the card's resolution, or `ADC_BITS`.
    full_scale : float
        Full scale if the card has no read-out [A].
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


def ideal_readout(card: ReadoutCard) -> ReadoutCard:
    """Return a converter of the same resolution and range without errors and noise."""
    return ReadoutCard(bits=card.bits, full_scale=card.full_scale)


def digitise(
    current: Tensor,
    channels: ReadoutChannels,
    *,
    generator: torch.Generator,
    quantised: bool = True,
    axis: int = -1,
) -> Tensor:
    """Digitise column currents, with a straight-through gradient.

    Parameters
    ----------
    current : (chip, ..., channel) tensor
        [A]
    channels : ReadoutChannels
    generator : torch.Generator
    quantised : bool
        If False, only gain, offset, cubic term and noise apply: no steps and no clipping.
    axis : int
        Axis of the channels.
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


def correction_terms(channels: ReadoutChannels, correction: str) -> tuple[Tensor, Tensor]:
    """Return offset [LSB] and gain [LSB/A] of the code correction, in the channels' shape."""
    gain, offset = channels.gain, channels.offset
    if correction in ("none", "offset"):
        gain = gain.mean().expand(gain.shape)
    if correction == "none":
        offset = offset.mean().expand(offset.shape)
    return offset, gain


def remove_cubic(code: Tensor, channels: ReadoutChannels, *, axis: int = -1) -> Tensor:
    """Remove the channels' cubic term from codes."""
    lead = [1] * code.ndim
    lead[0], lead[axis] = channels.gain.shape
    gain, offset, third = (
        x.reshape(lead) for x in (channels.gain, channels.offset, channels.third)
    )
    straight = code
    for _ in range(3):  # fixed-point iteration; converges fast for a small cubic term
        straight = code - third * ((straight - offset) / (gain * channels.full_scale)) ** 3
    return straight


def rescale_channels(channels: ReadoutChannels, stretch: Tensor) -> ReadoutChannels:
    """Return channels for unamplified currents, which are `stretch` times smaller."""
    return dataclasses.replace(
        channels, gain=channels.gain * stretch, third=channels.third * stretch**3
    )


def reorder_channels(channels: ReadoutChannels, index: Tensor) -> ReadoutChannels:
    """Return channels in another order and shape; `index` is the flat index of (tile, column)."""
    return dataclasses.replace(
        channels,
        gain=channels.gain.flatten()[index],
        offset=channels.offset.flatten()[index],
        third=channels.third.flatten()[index],
    )
