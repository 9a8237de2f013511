"""What the error of a parameter consists of, and with what each part shrinks.

The variance of an estimate from N cells, each programmed m times to a level, is

    V(N, m) = a/N + b/(N·m) + c/(N·m·(m − 1)) + d/(N·(m − 1)) + e/lines,

with coefficients from the card's own variance components, σ_d between cells and σ_w between cycles
of a cell, for independent normal readings (Searle, Casella and McCulloch, "Variance Components",
Wiley 1992, chapter 3):

    mean   a = σ_d²,  b = σ_w²
    σ²     a = 2σ_d⁴, b = 4σ_d²σ_w² + 2σ_w⁴
    σ_d²   a = 2σ_d⁴, b = 4σ_d²σ_w², c = 2σ_w⁴
    σ_w²   d = 2σ_w⁴

A failure probability has a = h(1 − h)(1 − s)² and b = (1 − h)s(1 − s) for the hard share h and the
soft probability s. Offsets of lines add their variance over the number of lines. The coefficients
are then scaled such that V is the squared standard error of the card at the size of its
measurement, which contains smooth fields, heavy tails and clusters of faults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rramfit.card.quantity import Quantity
from rramfit.card.schema import ModelCard, VariationCard

__all__ = ["GROUPS", "Size", "Terms", "group_of", "program_size", "terms_of"]

GROUPS: dict[str, tuple[str, str]] = {
    "read_noise": ("/reads", "cells or reads"),
    "retention": ("/retention", "cells"),
    "temperature": ("/retention at every temperature", "cells"),
    "endurance": ("/endurance", "cells"),
    "programming": ("/attempts", "cells or attempts"),
    "pulses": ("/pulses", "cells or trains"),
    "gauge": ("sessions", "sessions"),
    "iv": ("/iv", "cells"),
    "line": ("/mvm", "patterns"),
    "readout": ("/readout", "repeats"),
}
"""Group of the file and what is counted in it, by the first key of a path."""

_DEFAULT_REPEATS = 8.0  # of a card that states no measurement
_POSITION = frozenset({"mu", "loc", "xi"})
_INDEX = re.compile(r"^(\w+)\[(\d+)\]\.(.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of the programming sweeps: cells of one level, attempts of each, rows and columns."""

    cells: float
    repeats: float
    rows: float
    cols: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Coefficients of the variance of an estimate, in the square of its unit.

    Attributes
    ----------
    cells, cycles, pairs, repeats : float
        a, b, c, d of the module docstring.
    rows, cols : float
        Variance over the number of rows, and of columns.
    absolute : bool
        Whether the coefficients hold without the standard error of the card.
    """

    cells: float = 0.0
    cycles: float = 0.0
    pairs: float = 0.0
    repeats: float = 0.0
    rows: float = 0.0
    cols: float = 0.0
    absolute: bool = True

    def variance(self, size: Size, *, arrays: float = 1.0) -> float:
        """Return the variance at a size; infinite where cells must be programmed twice."""
        n, m = size.cells * arrays, size.repeats
        total = self.cells / n + self.cycles / (n * m)
        if self.pairs or self.repeats:
            if m <= 1:
                return float("inf")
            total += self.pairs / (n * m * (m - 1)) + self.repeats / (n * (m - 1))
        return total + (self.rows / size.rows + self.cols / size.cols) / arrays

    def scaled(self, factor: float) -> Terms:
        """Return the terms with all coefficients multiplied."""
        return Terms(
            cells=self.cells * factor,
            cycles=self.cycles * factor,
            pairs=self.pairs * factor,
            repeats=self.repeats * factor,
            rows=self.rows * factor,
            cols=self.cols * factor,
            absolute=self.absolute,
        )


def group_of(path: str) -> str:
    """Return the first key of a path: which group of the file determines the parameter."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def program_size(card: ModelCard, path: str) -> Size:
    """Return the size of the programming sweeps behind a parameter."""
    rows, cols = float(card.domain.rows), float(card.domain.cols)
    level = _level_index(path)
    known = [x for x in card.levels if x.n_cells and (level is None or x.index == level)]
    if not known:
        known = [x for x in card.levels if x.n_cells]
    if not known:
        return Size(cells=rows * cols, repeats=_DEFAULT_REPEATS, rows=rows, cols=cols)
    cells = max(x.n_cells for x in known)
    repeats = max(x.n_observations / x.n_cells for x in known)
    return Size(cells=float(cells), repeats=max(repeats, 1.0), rows=rows, cols=cols)


def terms_of(card: ModelCard, path: str, q: Quantity) -> Terms:
    """Return what the error of a parameter consists of.

    Parameters
    ----------
    card : ModelCard
    path : str
        Key path of the parameter.
    q : Quantity
    """
    found = _INDEX.match(path)
    if found is None:
        if path in ("stuck.dead_rows", "stuck.dead_cols"):
            share = q.value * (1 - q.value)
            return Terms(rows=share) if path.endswith("rows") else Terms(cols=share)
        if path in ("stuck.low", "stuck.high", "stuck.middle"):
            return Terms(cells=q.value * (1 - q.value))
        if path == "bits_per_cell" and card.levels:
            return _spread_terms(card, card.levels[0].index)
        return Terms(cells=1.0, absolute=False)
    key, index, name = found[1], int(found[2]), found[3]
    if key == "levels":
        return _of_level(card, card.levels[index].index, name, q)
    if key == "variation":
        return _of_variation(card.variation[index], name, q)
    if key == "failure":
        return _of_failure(card, index, name, q)
    return Terms(cells=1.0, absolute=False)


def _level_index(path: str) -> int | None:
    found = _INDEX.match(path)
    return int(found[2]) if found and found[1] in ("levels", "variation", "failure") else None


def _components(card: ModelCard, level: int) -> tuple[float, float, float, float]:
    """Return the variances between cells, between cycles, and of row and column offsets [S²]."""
    v = next((x for x in card.variation if x.level == level), None)
    if v is None or v.d2d is None:
        total = next((x.std.value**2 for x in card.levels if x.index == level and x.std), 0.0)
        return total, 0.0, 0.0, 0.0
    rows, cols = _line_variances(v)
    within = (v.c2c.value if v.c2c else 0.0) ** 2
    if v.read is not None and not v.c2c_includes_read:
        within += v.read.value**2
    return max(v.d2d.value**2 - rows - cols, 0.0), within, rows, cols


def _line_variances(v: VariationCard) -> tuple[float, float]:
    """Return the variances of row and column offsets over the number of parts of a line [S²]."""
    out = {"row": 0.0, "col": 0.0}
    for lines in v.lines or []:
        out[lines.axis] += lines.std.value**2 / lines.period
    return out["row"], out["col"]


def _mean_terms(card: ModelCard, level: int) -> Terms:
    between, within, rows, cols = _components(card, level)
    return Terms(cells=between, cycles=within, rows=rows, cols=cols)


def _variance_terms(card: ModelCard, level: int) -> Terms:
    """Return the terms of the estimated variance of a level [S⁴]."""
    between, within, rows, cols = _components(card, level)
    return Terms(
        cells=2 * between**2,
        cycles=4 * between * within + 2 * within**2,
        rows=2 * rows**2,
        cols=2 * cols**2,
    )


def _spread_terms(card: ModelCard, level: int) -> Terms:
    """Return the terms of what depends on the spread of a level, up to a factor."""
    found = _variance_terms(card, level)
    if found == Terms():
        return Terms(cells=1.0, absolute=False)
    return Terms(
        cells=found.cells, cycles=found.cycles, rows=found.rows, cols=found.cols, absolute=False
    )


def _of_level(card: ModelCard, level: int, name: str, q: Quantity) -> Terms:
    if name == "mean":
        return _mean_terms(card, level)
    if name == "std" and q.value > 0:
        return _variance_terms(card, level).scaled(0.25 / q.value**2)
    if name.rpartition(".")[2] in _POSITION or name == "upper_threshold":
        found = _mean_terms(card, level)
        return Terms(
            cells=found.cells, cycles=found.cycles, rows=found.rows, cols=found.cols, absolute=False
        )
    return _spread_terms(card, level)


def _of_variation(v: VariationCard, name: str, q: Quantity) -> Terms:
    between = v.d2d.value**2 if v.d2d else 0.0
    within = v.c2c.value**2 if v.c2c else 0.0
    if name == "d2d" and q.value > 0:
        return Terms(cells=2 * between**2, cycles=4 * between * within, pairs=2 * within**2).scaled(
            0.25 / q.value**2
        )
    if name == "c2c" and q.value > 0:
        return Terms(repeats=2 * within**2).scaled(0.25 / q.value**2)
    if name.startswith("lines[") and v.lines:
        lines = v.lines[int(name[len("lines[") : name.index("]")])]
        part = 0.5 * q.value**2 / lines.period
        return Terms(rows=part) if lines.axis == "row" else Terms(cols=part)
    return Terms(cells=1.0, absolute=False)


def _of_failure(card: ModelCard, index: int, name: str, q: Quantity) -> Terms:
    f = card.failure[index]
    if name == "probability" and 0 < q.value < 1:
        if f.hard is None or f.soft is None:
            return Terms(cells=q.value * (1 - q.value))
        h, s = f.hard.value, f.soft.value
        stuck = min(card.stuck.share, q.value) if card.stuck else 0.0
        h = min(h + stuck, 1.0)
        found = Terms(cells=h * (1 - h) * (1 - s) ** 2, cycles=(1 - h) * s * (1 - s))
        return found if found.cells or found.cycles else Terms(cells=q.value * (1 - q.value))
    if name == "hard":
        return Terms(cells=q.value * (1 - q.value) or 1.0, absolute=q.value > 0)
    if name == "soft":
        return Terms(cycles=q.value * (1 - q.value) or 1.0, absolute=q.value > 0)
    return Terms(cells=1.0, absolute=False)
