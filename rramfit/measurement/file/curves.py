"""I–V curves with voltages of their own, put on one list of voltages.

Most sweeps have the same voltages for all cells. Others (repeats, other ranges, measured voltages)
are rounded to a ten-thousandth of the highest voltage and sorted; a voltage that a curve visits
twice, on the way up and down, is listed twice. What a curve did not measure is NaN.
"""

from __future__ import annotations

import numpy as np

from rramfit.measurement.file.record import Floats, IVSweeps

__all__ = ["on_common_voltages"]

_STEP = 1e-4  # of the highest voltage: changes a current by less than its noise


def on_common_voltages(iv: IVSweeps) -> IVSweeps:
    """Return the curves with voltages of shape (point,); unchanged if they have this shape.

    The order of measurement is lost unless all curves have the same voltages.
    """
    if iv.voltage.ndim == 1:
        return iv
    first = iv.voltage[0]
    if np.array_equal(iv.voltage, np.broadcast_to(first, iv.voltage.shape), equal_nan=True):
        seen = np.isfinite(first)
        return _plain(iv, first[seen], iv.current[:, seen])
    measured = np.isfinite(iv.voltage) & np.isfinite(iv.current)
    step = max(float(np.abs(iv.voltage[measured]).max(initial=0.0)) * _STEP, 1e-30)
    curve, point = np.nonzero(measured)
    rounded = np.rint(iv.voltage[measured] / step).astype(np.int64)
    order = np.lexsort((point, rounded, curve))
    curve, rounded = curve[order], rounded[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (curve[1:] != curve[:-1]) | (rounded[1:] != rounded[:-1])
    starts = np.flatnonzero(new)
    visit = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    slots, column = np.unique(np.stack([rounded, visit]), axis=1, return_inverse=True)
    current: Floats = np.full((len(iv.current), slots.shape[1]), np.nan)
    current[curve, column.ravel()] = iv.current[measured][order]
    return _plain(iv, slots[0] * step, current)


def _plain(iv: IVSweeps, voltage: Floats, current: Floats) -> IVSweeps:
    return IVSweeps(voltage=voltage, current=current, row=iv.row, col=iv.col, repeat=iv.repeat)
