"""The wires of an array: four resistances, the driven ends, and the broken segments.

An m x n array has rows (wordlines) driven at column 0 and columns (bitlines) sensed below the last
row into a virtual ground. In series form every cell has one resistance towards its left neighbour
and one towards its lower neighbour,

    w[i, 0] = r_driver    w[i, j] = r_wl        (j >= 1)
    b[i, j] = r_bl        b[m-1, j] = r_sense   (i <= m-2)

so that no formula divides by a resistance, and zero is an ordinary value. Driven from both ends, a
row has a second driver of resistance `r_driver`, at the same voltage, after its last column.

A broken segment conducts nothing. The state of the inactive rows is part of the network:

    grounded   all drivers of the row are at 0 V: sneak current returns through them
    floating   all drivers of the row are off: its wire is connected through its cells only, and
               no current passes from one driver of a two-ended row to the other
    gated      the transistors cut off the cells of the row

Cell conductances are not here.

Numbers are taken in float64: `as_number` converts them, because torch would round them to float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rramfit.errors import ArrayError

__all__ = [
    "Drive",
    "InactiveRows",
    "LineResistance",
    "Resistance",
    "as_number",
    "check_conductance",
    "segments",
]

Resistance = float | Tensor
Drive = Literal["left", "both"]
InactiveRows = Literal["grounded", "floating", "gated"]

_DRIVES = ("left", "both")
_INACTIVE = ("grounded", "floating", "gated")


def as_number(value: float | Tensor, like: Tensor) -> Tensor:
    """Return a number or a tensor in the type and on the device of `like`.

    A Python number is converted through float64, never through torch's default float32.

    Parameters
    ----------
    value : float or tensor
    like : tensor

    Examples
    --------
    >>> as_number(0.1, torch.zeros((), dtype=torch.float64)).item()
    0.1
    """
    if not isinstance(value, Tensor):
        value = torch.as_tensor(value, dtype=torch.float64)
    return value.to(like)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResistance:
    """Wires of one array design, shared by all tiles of a batch.

    Each resistance is a number or a tensor of shape (). Numbers are float64. Solutions are
    differentiable in tensors that require a gradient.

    Raises
    ------
    ArrayError
        If a resistance is negative or not finite, or `drive` or `inactive_rows` is unknown.

    Examples
    --------
    >>> LineResistance(r_wl=1.0, r_bl=1.0, r_driver=50.0, r_sense=10.0).inactive_rows
    'grounded'
    """

    r_wl: Resistance = 0.0  # [ohm] per wordline segment between neighbouring cells
    r_bl: Resistance = 0.0  # [ohm] per bitline segment between neighbouring cells
    r_driver: Resistance = 0.0  # [ohm] between a row's driver and its first cell
    r_sense: Resistance = 0.0  # [ohm] between a column's last cell and the virtual ground
    drive: Drive = "left"
    inactive_rows: InactiveRows = "grounded"
    broken_wl: tuple[tuple[int, int], ...] = ()  # (row, col): the segment left of that cell
    broken_bl: tuple[tuple[int, int], ...] = ()  # (row, col): the segment below that cell

    def __post_init__(self) -> None:
        for name, value in zip(("r_wl", "r_bl", "r_driver", "r_sense"), self.values, strict=True):
            given = value.detach() if isinstance(value, Tensor) else value
            if getattr(given, "ndim", 0) or not 0 <= float(given) < math.inf:
                msg = (
                    f"{name} is {value}; expected one finite resistance of at least 0 ohm "
                    "(list broken segments in broken_wl or broken_bl)"
                )
                raise ArrayError(msg)
        if self.drive not in _DRIVES:
            msg = f"drive is {self.drive!r}; expected one of {', '.join(_DRIVES)}"
            raise ArrayError(msg)
        if self.inactive_rows not in _INACTIVE:
            msg = f"inactive_rows is {self.inactive_rows!r}; expected one of {', '.join(_INACTIVE)}"
            raise ArrayError(msg)

    @property
    def values(self) -> tuple[Resistance, Resistance, Resistance, Resistance]:
        """Return r_wl, r_bl, r_driver and r_sense [ohm]."""
        return self.r_wl, self.r_bl, self.r_driver, self.r_sense

    @property
    def broken(self) -> bool:
        """Return whether any segment is broken."""
        return bool(self.broken_wl or self.broken_bl)

    def check_shape(self, rows: int, cols: int) -> None:
        """Raise ArrayError if a broken segment is outside an array of `rows` x `cols`."""
        for name, places in (("broken_wl", self.broken_wl), ("broken_bl", self.broken_bl)):
            for i, j in places:
                if not (0 <= i < rows and 0 <= j < cols):
                    msg = f"{name} has cell ({i}, {j}), outside an array of {rows} x {cols}"
                    raise ArrayError(msg)


def segments(line: LineResistance, conductance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the series resistance from every cell to its left and to its lower neighbour.

    Parameters
    ----------
    line : LineResistance
        Its broken segments are not used (`rramfit.array.wires.pieces`).
    conductance : (..., m, n) tensor
        Only its shape, type and device are used.

    Returns
    -------
    w : (n,) tensor
        By column, the same for all rows [ohm]; differentiable in the resistances.
    b : (m,) tensor
        By row, the same for all columns [ohm].
    """
    m, n = conductance.shape[-2:]
    r_wl, r_bl, r_driver, r_sense = (as_number(v, conductance) for v in line.values)
    first = torch.arange(n, device=conductance.device) == 0
    last = torch.arange(m, device=conductance.device) == m - 1
    return torch.where(first, r_driver, r_wl), torch.where(last, r_sense, r_bl)


def check_conductance(conductance: Tensor) -> None:
    """Raise ArrayError unless the conductances are matrices of finite real numbers."""
    if conductance.ndim < 2 or not conductance.is_floating_point():
        msg = (
            f"conductance has shape {tuple(conductance.shape)} and type {conductance.dtype}; "
            "expected a floating tensor of (..., row, col)"
        )
        raise ArrayError(msg)
    total = conductance.detach().sum()
    if not math.isfinite(float(total)):
        bad = int((~torch.isfinite(conductance.detach())).sum())
        msg = (
            f"{bad} conductance {'value is' if bad == 1 else 'values are'} not finite; expected "
            "siemens (give an unmeasured cell a value, and a shorted cell a large finite one)"
        )
        raise ArrayError(msg)
