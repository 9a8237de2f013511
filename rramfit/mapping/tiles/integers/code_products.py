"""Products of input codes and one row block in integer arithmetic, to the codes of the converters.

The amplitude of an input is a code c = 0 … 2^bits − 1 of its DAC. CPUs with VNNI instructions
multiply int8 matrices several times faster than floating-point matrices, so the matrix is rounded
to 127·64 steps of its largest entry, and codes of 8 bits are moved into the range of int8:

    M ≈ step·(64·high + low)      I = step·V_read/(2^bits − 1)·Σ (64·high + low)·((c − z) + z)

Integer sums S are exact. The rounding error of a column current is small compared with a step of
a converter: a test requires the largest of 38,400 errors to be below 1/20 of an 8-bit step. The
transfer function of a converter is a cubic polynomial in S. With the extra `fast` (numba),
conversion and addition to the partial sums are one pass (`conversion_kernel`); without it, they are
seven passes over the same numbers in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rramfit.array.devices.readout import ReadoutChannels
from rramfit.mapping.tiles.integers.bit_planes import BASE, MOST

__all__ = ["CodeMatrix", "add_in_one_pass", "code_matrix", "input_codes"]

MOST_BITS = 8
"""Largest resolution of inputs whose codes fit into int8."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeMatrix:
    """Effective matrix of one row block in int8, and its converters."""

    bytes: Tensor  # int8 (2·column, row): high bytes, then low bytes
    polynomial: Tensor  # [LSB] (power of the integer sum, column) code of the converter
    noise: float  # [LSB] before rounding
    top: float  # highest code

    def add_codes(
        self, codes: Tensor, counts: Tensor, total: Tensor, generator: torch.Generator
    ) -> None:
        """Add the converters' codes to partial sums, in place.

        Parameters
        ----------
        codes : (row, vector) int8 tensor
            Of `input_codes`.
        counts : (column,) tensor
            Weight of a converter's code in the sum.
        total : (column, vector) tensor
            Partial sums.
        generator : torch.Generator
            Generator of the noise.
        """
        sums = torch._int_mm(self.bytes, codes)  # noqa: SLF001  # torch has no public name for it
        noise = None
        if self.noise > 0:
            noise = self.noise * torch.randn(total.shape, generator=generator, dtype=total.dtype)
        if (in_one_pass := add_in_one_pass()) is not None:
            in_one_pass(sums, self.polynomial, counts, self.top, noise, total)
        else:
            total.addcmul_(self.converted(sums, noise), counts[:, None])

    def converted(self, sums: Tensor, noise: Tensor | None) -> Tensor:
        """Return the converters' codes of integer sums (2·column, vector), high and low."""
        high, low = sums.chunk(2)
        x: Tensor = low.add(high, alpha=BASE).to(self.polynomial.dtype)
        constant, *powers = self.polynomial[:, :, None]
        code: Tensor = x * powers[-1]
        for power in powers[-2::-1]:
            code.add_(power).mul_(x)
        code.add_(constant)
        if noise is not None:
            code.add_(noise)
        return code.round_().clamp_(0, self.top)


def input_codes(x: Tensor, largest: float, bits: int) -> Tensor:
    """Return the codes of inputs from 0 to `largest`, moved into the range of int8."""
    steps = 2**bits - 1
    # The same operations, in the same order, as those of a quantised amplitude.
    return (x / largest).clamp_(0, 1).mul_(steps).round_().sub_(_zero(bits)).to(torch.int8)


def code_matrix(
    matrix: Tensor, channels: ReadoutChannels, *, read_voltage: float, bits: int
) -> CodeMatrix | None:
    """Round the matrix of a row block to int8.

    Return None if the inputs have too many bits, for tensors with gradients, float64, or a device
    other than a CPU with VNNI instructions.

    Parameters
    ----------
    matrix : (row, column) tensor
        [S] of the rows in use.
    channels : ReadoutChannels
        Converters (1, column).
    read_voltage : float
        Voltage of the highest code [V].
    bits : int
        Resolution of the inputs.
    """
    plain = matrix.requires_grad or matrix.dtype != torch.float32 or matrix.device.type != "cpu"
    if plain or bits > MOST_BITS or not torch.cpu._is_vnni_supported():  # noqa: SLF001  # likewise
        return None
    most = float(matrix.abs().max())
    step = (most or 1.0) / (MOST * BASE)
    rounded = (matrix.T / step).round()
    high = (rounded / BASE).round()
    unit = step * read_voltage / (2**bits - 1)  # [A]
    zero = unit * _zero(bits) * rounded.double().sum(1)  # [A] current if all int8 values are 0
    gain, offset, third = (x[0].double() for x in (channels.gain, channels.offset, channels.third))
    cubic = third / channels.full_scale**3
    polynomial = torch.stack(
        (
            offset + zero * (gain + cubic * zero**2),
            unit * (gain + 3 * cubic * zero**2),
            unit**2 * 3 * cubic * zero,
            unit**3 * cubic,
        )
    )
    return CodeMatrix(
        bytes=torch.cat((high, rounded - BASE * high)).to(torch.int8),
        polynomial=polynomial.to(matrix.dtype),
        noise=channels.noise,
        top=2.0**channels.bits - 1,
    )


@functools.cache
def add_in_one_pass() -> Callable[..., None] | None:
    """Return the compiled kernel; None if numba is absent or cannot keep what it compiles."""
    try:
        from rramfit.mapping.tiles.integers import conversion_kernel
    except (ImportError, RuntimeError):
        return None

    def add(*args: Any) -> None:
        conversion_kernel.add_converted(*args)

    return add


def _zero(bits: int) -> int:
    """Return the code z whose int8 value is 0."""
    return 128 if bits == MOST_BITS else 0
