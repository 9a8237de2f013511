"""The wires of an array: four resistances, where they are driven from, and where they are broken.

An m x n array has rows (wordlines) driven at column 0 and columns (bitlines) sensed below the last
row into a virtual ground. In series form every cell has one resistance towards its left neighbour
and one towards its lower neighbour,

    w[i, 0] = r_driver    w[i, j] = r_wl        (j >= 1)
    b[i, j] = r_bl        b[m-1, j] = r_sense   (i <= m-2)

so that no resistance is ever divided by, and zero is an ordinary value. Driven from both ends, a
row has a second driver of resistance `r_driver`, at the same voltage, behind its last column.

A broken segment stands as `OPEN_OHM`, whose leak is below the rounding of any column current.
What an inactive row is tied to belongs here too, since it decides the network:

    grounded   driven at 0 V: sneak current returns into it through its driver
    floating   its driver carries no current
    gated      its cells are cut off by their transistors

Cells are not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rramfit.errors import ArrayError

__all__ = ["OPEN_OHM", "Drive", "InactiveRows", "LineResistance", "Resistance", "segments"]

Resistance = float | Tensor
Drive = Literal["left", "both"]
InactiveRows = Literal["grounded", "floating", "gated"]

OPEN_OHM = 1e18
"""Resistance that stands for a broken segment [ohm]: at 1 V it leaks 1e-18 A."""

_DRIVES = ("left", "both")
_INACTIVE = ("grounded", "floating", "gated")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResistance:
    """Wires of one array design, shared by all tiles of a batch.

    Each resistance is a number or a tensor of shape (); a tensor that requires a gradient gets one.

    Raises
    ------
    ArrayError
        If a resistance is negative or not finite, or a name is not one of those above.

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
            given = torch.as_tensor(value).detach()
            if given.ndim or not (math.isfinite(float(given)) and float(given) >= 0):
                msg = (
                    f"{name} is {value}; expected one finite resistance of at least 0 ohm "
                    "(a broken segment is stated in broken_wl or broken_bl)"
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
        """The four resistances, in the order r_wl, r_bl, r_driver, r_sense [ohm]."""
        return self.r_wl, self.r_bl, self.r_driver, self.r_sense

    @property
    def broken(self) -> bool:
        """Whether any segment is broken."""
        return bool(self.broken_wl or self.broken_bl)

    def check_shape(self, rows: int, cols: int) -> None:
        """Refuse broken segments that lie outside an array of `rows` x `cols`."""
        for name, places in (("broken_wl", self.broken_wl), ("broken_bl", self.broken_bl)):
            for i, j in places:
                if not (0 <= i < rows and 0 <= j < cols):
                    msg = f"{name} names cell ({i}, {j}), outside an array of {rows} x {cols}"
                    raise ArrayError(msg)


def segments(line: LineResistance, conductance: Tensor) -> tuple[Tensor, Tensor]:
    """Series resistance of every cell towards its left and its lower neighbour.

    Parameters
    ----------
    line : LineResistance
    conductance : (..., m, n) tensor
        Gives shape, type and device only.

    Returns
    -------
    w, b : (m or 1, n or 1) tensors
        [ohm]; differentiable in the four resistances.

    Raises
    ------
    ArrayError
        If a broken segment lies outside the array.
    """
    m, n = conductance.shape[-2:]
    line.check_shape(m, n)
    r_wl, r_bl, r_driver, r_sense = (torch.as_tensor(v).to(conductance) for v in line.values)
    first = torch.arange(n, device=conductance.device) == 0
    last = (torch.arange(m, device=conductance.device) == m - 1)[:, None]
    w = torch.where(first, r_driver, r_wl)
    b = torch.where(last, r_sense, r_bl)
    return _break(w, line.broken_wl, m, n), _break(b, line.broken_bl, m, n)


def _break(r: Tensor, places: tuple[tuple[int, int], ...], m: int, n: int) -> Tensor:
    if not places:
        return r
    mask = torch.zeros(m, n, dtype=torch.bool, device=r.device)
    i, j = zip(*places, strict=True)
    mask[list(i), list(j)] = True
    return torch.where(mask, torch.full_like(r, OPEN_OHM), r)


def check_conductance(conductance: Tensor) -> None:
    """Refuse conductances that are no matrix of finite real numbers."""
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
            f"conductance has {bad} values that are not finite; expected siemens "
            "(an unmeasured cell needs a value, a short a large finite one)"
        )
        raise ArrayError(msg)
