"""Tables of a card: named quantities with their intervals, and one row a level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise

from pydantic import BaseModel

from rramfit.card.quality import HeldOut
from rramfit.card.quantity import Quantity
from rramfit.card.schema import Alternative, FailureCard, LevelCard, VariationCard
from rramfit.reporting.page.document import Column, Table, Width
from rramfit.reporting.page.wording import number, share, with_interval, write

__all__ = [
    "LABELS",
    "distributions_table",
    "failure_table",
    "heldout_table",
    "levels_table",
    "part_rows",
    "quantity_table",
    "spatial_table",
    "thresholds_table",
    "variation_table",
]

LABELS: Mapping[str, str] = {
    "bitline_resistance": "bitline, a segment",
    "c2c": "cycle to cycle",
    "coefficient": "relative read noise at the reference",
    "collapsed": "conducting cells that collapsed",
    "d2d": "cell to cell",
    "dead_cols": "dead columns",
    "dead_rows": "dead rows",
    "dependence": "change of b with ln G₀",
    "driver_resistance": "driver",
    "exponent": "exponent over conductance",
    "failed": "cells that lost half of their window",
    "full_scale": "full scale",
    "gain_spread": "relative spread of gain over channels",
    "high": "stuck high",
    "high_conductance": "conductance of cells stuck high, median",
    "inl": "integral nonlinearity, best-fit line",
    "inl_endpoint": "integral nonlinearity, end-point line",
    "longest_time": "longest time",
    "low": "stuck low",
    "low_conductance": "conductance of cells stuck low, median",
    "noise": "noise of one reading",
    "nonlinearity": "nonlinearity b, median over cells",
    "offset_spread": "spread of offset over channels",
    "read": "read to read",
    "reference_conductance": "reference conductance",
    "reference_time": "reference time",
    "sense_resistance": "sense",
    "slope": "change of b with G₀",
    "spectral_exponent": "spectral exponent",
    "spread": "spread of b over cells",
    "telegraph_amplitude": "step of two-state noise, over conductance",
    "telegraph_share": "cells with two-state noise",
    "third_order": "cubic part at full scale",
    "window": "window between the states, at first",
    "window_loss": "window lost per decade of cycles",
    "wordline_resistance": "wordline, a segment",
}
"""What a card's fields are called in a report; a field that is not here goes by its own name."""

_SHARES = frozenset(
    {
        "collapsed",
        "dead_cols",
        "dead_rows",
        "failed",
        "gain_spread",
        "high",
        "low",
        "telegraph_amplitude",
        "telegraph_share",
        "window_loss",
    }
)
_ABSENT = "\N{EN DASH}"


def quantity_table(
    caption: str,
    rows: Iterable[tuple[str, Quantity, bool]],
    *,
    folded: bool = False,
    width: Width = "full",
) -> Table:
    """One row a quantity: name, value, 95 % interval, standard error; shares in per cent.

    Parameters
    ----------
    caption : str
    rows : iterable of (name, quantity, percent)
    folded : bool
        Shown only when the reader opens it.
    width : {"third", "half", "full"}
        Share of the page's width.
    """
    columns = (
        Column("parameter", numeric=False),
        Column("value"),
        Column("95 % interval"),
        Column("standard error"),
    )
    return Table(
        caption=caption,
        columns=columns,
        rows=tuple(_quantity_row(*row) for row in rows),
        folded=folded,
        width=width,
    )


def part_rows(part: BaseModel) -> list[tuple[str, Quantity, bool]]:
    """Rows of `quantity_table` for the quantities that stand directly in one part of a card."""
    return [
        (LABELS.get(name, name.replace("_", " ")), value, name in _SHARES)
        for name, value in part
        if isinstance(value, Quantity)
    ]


def levels_table(levels: Sequence[LevelCard]) -> Table:
    """Target, mean, spread and distribution of each level."""
    columns = (
        Column("level", numeric=False),
        Column("target"),
        Column("mean (95 % interval)"),
        Column("standard deviation (95 % interval)"),
        Column("distribution", numeric=False),
        Column("cells"),
        Column("readings"),
    )
    rows = tuple(
        (
            x.name,
            _cell(x.target),
            _cell(x.mean),
            _cell(x.std),
            x.distribution.family.replace("_", " ") if x.distribution else _ABSENT,
            f"{x.n_cells:,}",
            f"{x.n_observations:,}",
        )
        for x in levels
    )
    return Table(caption="Levels", columns=columns, rows=rows)


def distributions_table(levels: Sequence[LevelCard]) -> Table | None:
    """Every family tried at each level, the chosen one first; None where none was."""
    columns = (
        Column("level", numeric=False),
        Column("family", numeric=False),
        Column("held-out log-likelihood"),
        Column("AIC"),
        Column("BIC"),
        Column("p-value of fit"),
        Column("converged", numeric=False),
    )
    rows = tuple(
        (
            level.name,
            a.family.replace("_", " ") + (" (chosen)" if a.family == distribution.family else ""),
            _plain(a.heldout_log_likelihood, 7),
            _plain(a.aic, 8),
            _plain(a.bic, 8),
            _plain(a.p_value, 2),
            "yes" if a.converged else "no",
        )
        for level in levels
        if (distribution := level.distribution) is not None
        for a in sorted(distribution.alternatives, key=partial(_rank, distribution.family))
    )
    if not rows:
        return None
    caption = "Families tried at each level"
    return Table(caption=caption, columns=columns, rows=rows, folded=True)


def _rank(chosen: str, a: Alternative) -> tuple[bool, float]:
    score = a.heldout_log_likelihood
    return a.family != chosen, math.inf if score is None else -score


def thresholds_table(levels: Sequence[LevelCard], names: Mapping[int, str]) -> Table | None:
    """Best read threshold and overlap between neighbouring levels; None where there is none."""
    pairs = [(x, y) for x, y in pairwise(levels) if x.upper_threshold]
    if not pairs:
        return None
    columns = (
        Column("between", numeric=False),
        Column("best threshold"),
        Column("read on the wrong side (95 % interval)"),
    )
    rows = tuple(
        (
            f"{names[x.index]} and {names[y.index]}",
            _cell(x.upper_threshold),
            _cell(x.overlap, percent=True),
        )
        for x, y in pairs
    )
    return Table(caption="Thresholds and overlap", columns=columns, rows=rows)


def variation_table(variation: Sequence[VariationCard], names: Mapping[int, str]) -> Table:
    """Components of variation of each level."""
    columns = (
        Column("level", numeric=False),
        Column("cell to cell (95 % interval)"),
        Column("cycle to cycle (95 % interval)"),
        Column("read to read (95 % interval)"),
        Column("estimated in the", numeric=False),
    )
    rows = tuple(
        (
            names[v.level],
            _cell(v.d2d),
            _cell(v.c2c) + (" *" if v.c2c and v.c2c_includes_read else ""),
            _cell(v.read),
            f"{v.domain} domain",
        )
        for v in variation
    )
    starred = any(v.c2c and v.c2c_includes_read for v in variation)
    note = "; * holds the read noise too: group /reads would tell them apart"
    caption = "Variation, as standard deviations"
    return Table(caption=caption + (note if starred else ""), columns=columns, rows=rows)


def spatial_table(variation: Sequence[VariationCard], names: Mapping[int, str]) -> Table | None:
    """Trends and smooth field of each level; None where none was fitted."""
    parts = [(names[v.level], v.spatial) for v in variation if v.spatial is not None]
    if not parts:
        return None
    columns = (
        Column("level", numeric=False),
        Column("trend, a row"),
        Column("trend, a column"),
        Column("smooth share"),
        Column("its length, cells"),
        Column("p-value of none"),
    )
    rows = tuple(
        (
            name,
            _cell(s.row_trend),
            _cell(s.col_trend),
            _cell(s.share, percent=True),
            _cell(s.correlation_length),
            _plain(s.p_value, 2),
        )
        for name, s in parts
    )
    caption = "Variation over the array, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def failure_table(failure: Sequence[FailureCard], names: Mapping[int, str]) -> Table:
    """Failure at each level."""
    columns = (
        Column("level", numeric=False),
        Column("not accepted (95 % interval)"),
        Column("hard: never programs"),
        Column("soft: fails in a sweep"),
        Column("attempts"),
        Column("where a failed cell is left"),
    )
    rows = tuple(
        (
            names[x.level],
            _cell(x.probability, percent=True),
            _cell(x.hard, percent=True),
            _cell(x.soft, percent=True),
            f"{x.n_attempts:,}",
            _cell(x.conductance),
        )
        for x in failure
    )
    return Table(caption="Programming failure", columns=columns, rows=rows)


def heldout_table(heldout: Sequence[HeldOut], names: Mapping[int, str]) -> Table:
    """How much of what was kept from the fit fell inside the intervals predicted for it."""
    columns = (
        Column("level", numeric=False),
        Column("in the 50 % interval"),
        Column("in the 90 % interval"),
        Column("in the 99 % interval"),
        Column("largest distance of distributions"),
        Column("log score"),
        Column("readings"),
    )
    rows = tuple(
        (
            names[x.level],
            *(share(c, digits=3) for c in (x.coverage50, x.coverage90, x.coverage99)),
            number(x.ks_distance, 2),
            number(x.log_score, 5),
            f"{x.n_observations:,}",
        )
        for x in heldout
    )
    return Table(caption="Held-out check", columns=columns, rows=rows)


def _quantity_row(name: str, q: Quantity, percent: bool) -> tuple[str, ...]:
    w = write(q, percent=percent)
    return name, w.value_with_unit, w.interval or "given", w.stderr or _ABSENT


def _cell(q: Quantity | None, *, percent: bool = False) -> str:
    return _ABSENT if q is None else with_interval(q, percent=percent)


def _plain(x: float | None, digits: int) -> str:
    return _ABSENT if x is None else number(x, digits)
