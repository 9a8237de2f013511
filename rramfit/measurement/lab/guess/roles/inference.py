"""Roles of columns by their values, for logs without header or with names that say nothing.

In this order: texts; the cell; times since 1970; R and 1/R; verify windows (lower < reading <
upper); pulse counts (total = sets + resets); flags; the voltage of a sweep; what repeats or rises
within a cell (level, time, cycle, sweep); pulse widths; and the magnitude of what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.measurement.lab.guess.roles.role import LIKELY, NOT_SURE, SURE, Role, integral
from rramfit.measurement.lab.guess.sample import Sample
from rramfit.units import format_percent

__all__ = ["Inference", "infer", "infer_texts"]

_MOST_ROWS = 200_000
_FEW = 64  # distinct values of a level, a window or a flag
_UNIX = (1e9, 2.2e9)  # seconds since 1970: years 2001 to 2039
_OHM, _SIEMENS = (3e2, 1e11), (1e-10, 1e-2)
_SWEEP_VOLTS = 20.0
_CONTRAST = 2.0  # ratio of two readings that are two states

_WORDS = {
    "flag": {"true", "false", "pass", "fail", "passed", "failed", "yes", "no", "ok", "nok"},
    "polarity": {"set", "reset", "pot", "dep", "potentiation", "depression", "ltp", "ltd", "p", "d",
                 "+", "-", "pos", "neg", "+1", "-1", "1", "0", "read", "r", "s"},
    "state": {"hrs", "lrs", "on", "off", "high", "low", "mid", "irs"},
}  # fmt: skip


class Inference:
    """Roles by value; each step assigns some of the columns that are left."""

    def __init__(self, sample: Sample, roles: list[Role]) -> None:
        self.roles = roles
        self.chosen: NDArray[Any] = np.arange(min(sample.rows, _MOST_ROWS))

    @property
    def rows(self) -> int:
        """Number of rows that are looked at."""
        return len(self.chosen)

    def values(self, r: Role) -> NDArray[np.float64]:
        """Return the numbers of a column."""
        return np.zeros(0) if r.field.numbers is None else r.field.numbers[self.chosen]

    def left(self, *, integers: bool | None = None) -> Iterator[Role]:
        """Yield the numeric columns without a role."""
        for r in list(self.roles):
            wanted = integers is None or integers == r.field.integers
            if wanted and not r.role and r.field.numbers is not None:
                yield r

    def give(self, r: Role, role: str, why: str, sure: str = LIKELY, unit: str = "") -> None:
        """Assign a role to a column."""
        at = next(i for i, x in enumerate(self.roles) if x.field is r.field)
        self.roles[at] = replace(r, role=role, why=why, sure=sure, unit=unit or r.unit)

    def has(self, *roles: str) -> bool:
        """Return True if a column has one of these roles."""
        return any(r.role in roles for r in self.roles)

    def cells(self) -> NDArray[np.int64] | None:
        """Return the cell of each row, as an index; None if there is only one."""
        keys = [r for r in self.roles if r.role in ("row", "col", "address", "device")]
        index = np.zeros(self.rows, np.int64)
        for r in keys:
            values = r.field.texts if r.field.numbers is None else r.field.numbers
            if values is None:
                continue
            looked_at = values[self.chosen]
            if r.field.numbers is None:
                looked_at = looked_at.astype(str)
            _, code = np.unique(looked_at, return_inverse=True)
            index = index * (int(code.max()) + 1) + code
        return index if keys and np.any(index != index[0]) else None


def _texts(found: Inference) -> None:
    for r in [r for r in found.roles if not r.role and r.field.numbers is None]:
        texts = r.field.texts
        if texts is None:
            continue
        lower = np.array([str(t).casefold() for t in texts[found.chosen]])
        words = set(np.unique(lower).tolist())
        if len(words) == 1:
            found.give(r, "constant", f"always {next(iter(words))!r}", SURE)
        elif len(words) <= 9:
            kind = next((k for k, known in _WORDS.items() if words <= known), "kind")
            found.give(r, kind, f"values {', '.join(sorted(words))}")
            if kind == "polarity" and "read" in words:  # operations; only reads have a reading
                found.chosen = found.chosen[lower == "read"]
        elif not found.has("address", "device", "row") and not r.field.title:
            found.give(r, "device", f"{len(words)} different names")


def _cell(found: Inference) -> None:
    """Assign the address: the leftmost integer column that is no counter of one cell."""
    if found.has("address", "row", "device"):
        return
    candidates = [r for r in found.left(integers=True) if np.nanmin(found.values(r)) >= 0]
    candidates = [r for r in candidates if not _unix(found.values(r))]
    if not candidates:
        return
    first = candidates[0]
    if len(np.unique(found.values(first))) == 1:
        constant = [r for r in candidates if len(np.unique(found.values(r))) == 1]
        for r in candidates:
            values = found.values(r)
            if len(np.unique(values)) == len(values) > 1 and np.mean(np.diff(values) == 1) > 0.5:
                found.give(r, "address", "different in each row, mostly in steps of 1")
                return
        largest = max(constant, key=lambda r: float(found.values(r)[0]))
        found.give(largest, "address", "a column of integers, always the same: one cell")
        return
    n = len(np.unique(found.values(first)))
    if len(candidates) > 1 and _is_grid(found.values(first), found.values(candidates[1])):
        why = f"{first.name} and {candidates[1].name} fill a grid"
        found.give(first, "row", why)
        found.give(candidates[1], "col", why)
        return
    found.give(first, "address", f"the first column of integers, {n} different values")


def _is_grid(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Return True if two columns of integers are the rows and columns of an array, each once."""
    sides = [np.unique(x) for x in (a, b)]
    pairs = np.unique(np.stack([a, b]), axis=1).shape[1]
    gapless = all(len(s) > 1 and s[0] in (0, 1) and np.ptp(s) == len(s) - 1 for s in sides)
    return gapless and pairs == len(a) == len(sides[0]) * len(sides[1])


def _unix(values: NDArray[np.float64]) -> bool:
    return bool(_UNIX[0] < np.nanmin(values) and np.nanmax(values) < _UNIX[1])


def _times(found: Inference) -> None:
    for r in found.left():
        if _unix(found.values(r)) and not found.has("time"):
            found.give(r, "time", "seconds since 1970", SURE, "s")


def _inverse_pairs(found: Inference) -> None:
    for a, b in combinations(list(found.left(integers=False)), 2):
        x, y = found.values(a), found.values(b)
        known = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
        product = x[known] * y[known]
        if known.any() and np.mean(np.abs(product - 1) < 1e-2) > 0.8:
            big, small = (a, b) if np.median(np.abs(x[known])) > 1 else (b, a)
            found.give(big, "resistance", f"1 / {small.name}", SURE, "ohm")
            found.give(small, "conductance", f"1 / {big.name}", SURE, "S")
            return


def _windows(found: Inference) -> None:
    """Assign lower and upper limits: few pairs, with a reading mostly between them."""
    columns = [r for r in found.roles if r.field.numbers is not None]
    readings = [r for r in columns if r.role in ("", "resistance", "conductance")]
    for low, high in pairwise(columns):
        if low.role or high.role:
            continue
        x, y = found.values(low), found.values(high)
        open_side = ~np.isfinite(x) | ~np.isfinite(y)
        if not np.all((x < y) | open_side) or _unix(x):
            continue
        pairs = np.unique(np.stack([np.nan_to_num(x), np.nan_to_num(y)]), axis=1).shape[1]
        for r in readings:
            z = found.values(r)
            if r is low or r is high or len(np.unique(z)) <= pairs:
                continue
            lower = np.where(np.isfinite(x), x, -np.inf)
            inside = np.mean((z >= lower) & (z <= np.where(np.isfinite(y), y, np.inf)))
            kinds = [k for k in found.roles if k.role == "kind"]
            enough = 0.2 if kinds else 0.5
            if inside > enough and (pairs <= max(_FEW, found.rows // 8) or kinds):
                why = (
                    f"{r.name} is between {low.name} and {high.name} in "
                    f"{format_percent(float(inside), 0)} of the rows"
                )
                found.give(low, "lower", why)
                found.give(high, "upper", why)
                return


def _pulse_counts(found: Inference) -> None:
    counts = [
        r
        for r in found.left(integers=True)
        if np.nanmin(found.values(r)) >= 0 and len(np.unique(found.values(r))) > 2
    ]
    for total, a, b in permutations(counts, 3):
        if a.field is b.field or _place(found, a) > _place(found, b):
            continue
        rest = found.values(total) - found.values(a) - found.values(b)
        middle = np.median(rest)
        if np.mean(np.abs(rest - middle) <= 1) > 0.8 and np.ptp(found.values(total)) > 2:
            why = f"{total.name} = {a.name} + {b.name} + {middle:g} in most rows"
            found.give(total, "reads", why)
            found.give(a, "sets", f"{why}; SET before RESET is a convention", NOT_SURE)
            found.give(b, "resets", why, NOT_SURE)
            return


def _place(found: Inference, r: Role) -> int:
    return next(i for i, x in enumerate(found.roles) if x.field is r.field)


def _flags(found: Inference) -> None:
    for r in reversed(list(found.left(integers=True))):
        values = found.values(r)
        if set(np.unique(values)) == {0.0, 1.0} and not found.has("flag"):
            later = _place(found, r) == len(found.roles) - 1
            if later and found.has("lower", "sets", "resets"):
                found.give(r, "flag", "0 or 1, the last column of a verify log")


def _counters(found: Inference) -> None:
    """Assign what is constant, or rises, within the cells."""
    if len(list(found.left())) == 1 and not found.has("resistance", "conductance"):
        return  # the only column must be the reading
    cells = found.cells()
    order = np.arange(found.rows) if cells is None else np.argsort(cells, kind="stable")
    same = np.ones(found.rows - 1, np.bool_) if cells is None else np.diff(cells[order]) == 0
    per_cell = found.rows / (1 + np.count_nonzero(~same)) if found.rows > 1 else 1.0
    rising: list[tuple[float, Role]] = []
    for r in found.left():
        values = found.values(r)
        if not np.all(np.isfinite(values)) or found.rows < 2:
            continue
        steps = np.diff(values[order])[same]
        distinct = np.unique(values)
        if len(distinct) == 1:
            if _place(found, r) != 0 or found.has("address"):
                found.give(r, "constant", f"always {distinct[0]:g}", SURE)
            continue
        small = integral(values) and distinct[0] >= 0 and distinct[-1] < _FEW
        if small and cells is not None and (per_cell < 1.5 or np.all(steps == 0)):
            consecutive = len(distinct) >= 0.8 * (distinct[-1] - distinct[0] + 1)
            if consecutive and not found.has("level") and len(distinct) < found.rows / 4:
                why = f"{len(distinct)} small integers, the same in all rows of a cell"
                found.give(r, "level", why)
        elif len(steps) and np.all(steps >= 0) and np.any(steps > 0) and per_cell >= 1.5:
            rising.append((len(distinct) / per_cell, r))
    for grid, r in sorted(rising, key=lambda x: x[0]):  # those with equal values in all cells first
        _rising(found, r, grid, order, same)


def _rising(
    found: Inference,
    r: Role,
    grid: float,
    order: NDArray[np.int64],
    same: NDArray[np.bool_],
) -> None:
    values = found.values(r)
    distinct = np.unique(values)
    if integral(values) and distinct[0] in (0, 1) and np.all(np.diff(distinct) == 1):
        found.give(r, "sweep", "counts up within a cell, in steps of 1")
    elif found.has("time", "cycle"):
        if found.has("time") and grid <= 2 and not integral(values):
            found.give(
                r, "timepoint", "rises with the time, at the same values in all cells", LIKELY, "s"
            )
    elif integral(values) and _two_states(found, r, order, same):
        found.give(r, "cycle", "integers that rise within a cell whose readings have two states")
    elif grid <= 2 or not integral(values):
        found.give(r, "time", "rises within a cell", LIKELY, "s")


def _two_states(
    found: Inference, rising: Role, order: NDArray[np.int64], same: NDArray[np.bool_]
) -> bool:
    """Return True if readings alternate between two states, or two columns differ as states do."""
    readings = [
        found.values(r)
        for r in found.roles
        if r.field is not rising.field and _like_reading(found.values(r), r)
    ]
    for z in readings:
        with np.errstate(divide="ignore", invalid="ignore"):
            jump = np.abs(np.log(np.abs(z[order][1:] / z[order][:-1])))[same]
        jump = jump[np.isfinite(jump)]
        if len(jump) and np.median(jump) > np.log(_CONTRAST):
            return True
    return any(_contrast(a, b) > _CONTRAST for a, b in combinations(readings, 2))


def _like_reading(values: NDArray[np.float64], r: Role) -> bool:
    if r.field.numbers is None or r.role not in ("", "resistance", "conductance"):
        return False
    size = float(np.nanmedian(np.abs(values)))
    different = len(np.unique(values)) > 2
    return different and (_OHM[0] < size < _OHM[1] or _SIEMENS[0] < size < _SIEMENS[1])


def _contrast(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the typical ratio of two columns of readings, 1 or more; 1 if they are R and 1/R."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.abs(a / b))
    logs = logs[np.isfinite(logs)]
    if not len(logs) or abs(np.median(logs)) > np.log(1e6):
        return 1.0
    return float(np.exp(abs(np.median(logs))))


def _sweeps(found: Inference) -> None:
    for r in found.left():
        values = found.values(r)
        known = values[np.isfinite(values)]
        distinct = np.unique(np.round(known, 9))
        if len(distinct) < 3 or len(distinct) > len(known) / 2 or integral(known):
            continue
        if known.min() >= 1e-9 and known.max() <= 1e-2 and len(distinct) <= _FEW:
            if not found.has("width"):
                found.give(r, "width", "few values between 1 ns and 10 ms", LIKELY, "s")
        elif np.abs(known).max() < _SWEEP_VOLTS and np.abs(known).max() > 0.02:
            found.give(r, "voltage", f"{len(distinct)} values up to {known.max():g}", LIKELY, "V")


def _linear_sweep(found: Inference) -> None:
    """Assign the voltage of an I–V sweep: equal steps below 20 V, beside small currents."""
    currents = [r for r in found.left() if _size(found.values(r)) < _SIEMENS[1]]
    for r in found.left():
        values = found.values(r)
        known = values[np.isfinite(values)]
        distinct = np.unique(np.round(known, 9))
        others = [c for c in currents if c.field is not r.field]
        if 5 <= len(distinct) <= len(known) / 2 + 1 and not integral(known) and others:
            steps = np.diff(distinct)
            if np.abs(known).max() < _SWEEP_VOLTS and steps.max() < 1.5 * steps.min():
                why = (
                    f"{len(distinct)} values in equal steps up to {known.max():g}, beside a current"
                )
                found.give(r, "voltage", why, LIKELY, "V")
                return


def _size(values: NDArray[np.float64]) -> float:
    known = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.median(known)) if len(known) else np.inf


def _readings(found: Inference) -> None:
    """Assign what is left by its magnitude."""
    swept = found.has("voltage") and not found.has("width")
    for r in found.left():
        values = found.values(r)
        known = np.abs(values[np.isfinite(values)])
        if not len(known) or len(np.unique(known)) < 3:
            continue
        size = float(np.median(known[known > 0])) if np.any(known > 0) else 0.0
        if _OHM[0] < size < _OHM[1] and not found.has("conductance"):
            found.give(r, "resistance", f"the median {size:.3g} fits ohm", LIKELY, "ohm")
        elif _SIEMENS[0] < size < _SIEMENS[1] and not found.has("resistance"):
            if swept:
                found.give(
                    r, "current", f"the median {size:.2g} fits A, beside a voltage", LIKELY, "A"
                )
            else:
                found.give(r, "conductance", f"the median {size:.2g} fits S", NOT_SURE, "S")


def _states(found: Inference) -> None:
    """Tell two columns of resistance apart: two states, or before and after a pulse."""
    same = [r for r in found.roles if r.role == "resistance"] or [
        r for r in found.roles if r.role == "conductance"
    ]
    if len(same) != 2:
        return
    a, b = (found.values(r) for r in same)
    contrast = _contrast(a, b)
    inverted = same[0].role == "resistance"
    if found.has("cycle") or (contrast > _CONTRAST and not found.has("width", "voltage")):
        first_is_high = (np.nanmedian(a) > np.nanmedian(b)) == inverted
        why = f"readings of a row differ by a factor of {contrast:.2g}"
        found.give(same[0], "hrs" if first_is_high else "lrs", why)
        found.give(same[1], "lrs" if first_is_high else "hrs", why)
    elif found.has("width"):
        found.give(same[0], "initial", "the first reading of a row with a pulse")
        found.give(same[1], "final", "the second reading of a row with a pulse")


_STEPS: tuple[Callable[[Inference], None], ...] = (
    _texts, _cell, _times, _inverse_pairs, _windows, _pulse_counts, _flags, _linear_sweep,
    _counters, _sweeps, _readings, _states,
)  # fmt: skip


def infer(found: Inference, *, only_cell: bool = False, keep_cell: bool = False) -> None:
    """Assign roles to the columns that have none.

    Parameters
    ----------
    found : Inference
    only_cell : bool
        Look for the cell only.
    keep_cell : bool
        Look for all but the cell.
    """
    for step in _STEPS:
        if (step is _cell and not keep_cell) or (step is not _cell and not only_cell):
            step(found)


def infer_texts(found: Inference) -> None:
    """Assign columns of texts with a title that says nothing, such as SET and RESET in `Type`."""
    for r in [r for r in found.roles if not r.role and r.field.numbers is None]:
        words = {str(t).casefold() for t in (r.field.texts if r.field.texts is not None else ())}
        kind = next((k for k, known in _WORDS.items() if len(words) > 1 and words <= known), "")
        if kind and not found.has(kind):
            found.give(r, kind, f"values {', '.join(sorted(words))}")
