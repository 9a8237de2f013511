"""Tables of a card: named quantities with their intervals, and one row per level."""

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
from rramfit.reporting.page.wording import (
    format_quantity_parts,
    number,
    share,
    with_interval,
    with_unit,
)

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
    "bitline_resistance": "bitline, per segment",
    "c2c": "cycle-to-cycle",
    "cycles_to_1pct": "cycles to 1 % failure",
    "cycles_to_1pct_bound": "cycles before 1 % failure, at least (95 % confidence)",
    "coefficient": "relative read noise at reference conductance",
    "collapsed": "conducting cells that lost their state",
    "d2d": "cell-to-cell",
    "dead_cols": "dead columns",
    "dead_rows": "dead rows",
    "dependence": "change of b per unit of ln G₀",
    "driver_resistance": "driver",
    "exponent": "exponent of conductance",
    "failed_bound": "cells that fail by the longest cycle, at most (95 % confidence)",
    "failed": "cells that lost half of their switching window",
    "full_scale": "full scale",
    "gain_spread": "relative std of gain over channels",
    "high": "stuck high",
    "high_conductance": "median conductance of cells stuck high",
    "high_motion": "motion of a moving cell stuck high (std between programmings)",
    "high_moving": "moving cells, of those stuck high",
    "high_std": "std of conductance over cells stuck high",
    "inl": "INL, best-fit line",
    "inl_endpoint": "INL, end-point line",
    "longest_time": "longest time",
    "low": "stuck low",
    "low_conductance": "median conductance of cells stuck low",
    "low_motion": "motion of a moving cell stuck low (std between programmings)",
    "low_moving": "moving cells, of those stuck low",
    "low_std": "std of conductance over cells stuck low",
    "middle": "stuck in the middle",
    "middle_conductance": "median conductance of cells stuck in the middle",
    "middle_motion": "motion of a moving cell stuck in the middle (std between programmings)",
    "middle_moving": "moving cells, of those stuck in the middle",
    "middle_std": "std of conductance over cells stuck in the middle",
    "noise": "noise of one reading (std)",
    "nonlinearity": "sinh coefficient b, median over cells",
    "offset_spread": "std of offset over channels",
    "read": "read-to-read",
    "reference_conductance": "reference conductance",
    "reference_time": "reference time",
    "sense_resistance": "sense",
    "slope": "change of b per unit of G₀",
    "spectral_exponent": "spectral exponent",
    "spread": "std of b over cells",
    "telegraph_amplitude": "amplitude of random telegraph noise over conductance",
    "telegraph_share": "cells with random telegraph noise",
    "surviving": "cells that work at the longest cycle",
    "third_order": "cubic term at full scale",
    "window": "switching window at the first cycle",
    "window_loss": "loss of the window per decade of cycles",
    "wordline_resistance": "wordline, per segment",
}
"""Labels of a card's fields in a report; other fields are shown by their names."""

_SHARES = frozenset(
    {
        "coefficient",
        "collapsed",
        "dead_cols",
        "dead_rows",
        "failed",
        "failed_bound",
        "gain_spread",
        "high",
        "high_moving",
        "low",
        "low_moving",
        "middle",
        "middle_moving",
        "surviving",
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
    """Return a table with one row per quantity: name, value, 95 % interval, standard error.

    Parameters
    ----------
    caption : str
    rows : iterable of (name, quantity, percent)
        With `percent`, a share is given in per cent.
    folded : bool
        Shown only when the reader opens it.
    width : {"third", "half", "full"}
        Share of the page's width.
    """
    listed = list(rows)
    between = any(q.between is not None for _, q, _ in listed)
    columns = (
        Column("parameter", numeric=False),
        Column("value"),
        Column("95 % interval"),
        Column("standard error"),
        *([Column("between arrays (std)")] if between else []),
    )
    return Table(
        caption=caption,
        columns=columns,
        rows=tuple(_quantity_row(*row, between=between) for row in listed),
        folded=folded,
        width=width,
    )


def part_rows(part: BaseModel) -> list[tuple[str, Quantity, bool]]:
    """Return rows of `quantity_table` for the quantities that are direct fields of a part."""
    return [
        (LABELS.get(name, name.replace("_", " ")), value, name in _SHARES)
        for name, value in part
        if isinstance(value, Quantity)
    ]


def levels_table(levels: Sequence[LevelCard]) -> Table:
    """Return a table of target, mean, standard deviation and distribution of each level."""
    between = any(q and q.between is not None for x in levels for q in (x.mean, x.std))
    columns = (
        Column("level", numeric=False),
        Column("target"),
        Column("mean (95 % interval)"),
        *([Column("mean between arrays (std)")] if between else []),
        Column("standard deviation (95 % interval)"),
        *([Column("the same between arrays (std)")] if between else []),
        Column("distribution", numeric=False),
        Column("cells"),
        Column("readings"),
    )
    rows = tuple(
        (
            x.name,
            _cell(x.target),
            _cell(x.mean),
            *([_between(x.mean)] if between else []),
            _cell(x.std),
            *([_between(x.std)] if between else []),
            x.distribution.family.replace("_", " ") if x.distribution else _ABSENT,
            f"{x.n_cells:,}",
            f"{x.n_observations:,}",
        )
        for x in levels
    )
    return Table(caption="Levels", columns=columns, rows=rows)


def distributions_table(levels: Sequence[LevelCard]) -> Table | None:
    """Return a table of the families fitted to each level, the selected one first."""
    columns = (
        Column("level", numeric=False),
        Column("family", numeric=False),
        Column("held-out log-likelihood"),
        Column("AIC"),
        Column("BIC"),
        Column("p-value (goodness of fit)"),
        Column("converged", numeric=False),
    )
    rows = tuple(
        (
            level.name,
            a.family.replace("_", " ") + (" (selected)" if a.family == distribution.family else ""),
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
    caption = "Distribution families fitted to each level"
    return Table(caption=caption, columns=columns, rows=rows, folded=True)


def _rank(selected: str, a: Alternative) -> tuple[bool, float]:
    score = a.heldout_log_likelihood
    return a.family != selected, math.inf if score is None else -score


def thresholds_table(levels: Sequence[LevelCard], names: Mapping[int, str]) -> Table | None:
    """Return a table of read thresholds and overlaps of adjacent levels; None if empty."""
    pairs = [(x, y) for x, y in pairwise(levels) if x.upper_threshold]
    if not pairs:
        return None
    columns = (
        Column("levels", numeric=False),
        Column("optimal threshold (95 % interval)"),
        Column("misread share (95 % interval)"),
    )
    rows = tuple(
        (
            f"{names[x.index]} and {names[y.index]}",
            _cell(x.upper_threshold),
            _cell(x.overlap, percent=True),
        )
        for x, y in pairs
    )
    return Table(
        caption="Read thresholds and overlap of adjacent levels", columns=columns, rows=rows
    )


def variation_table(variation: Sequence[VariationCard], names: Mapping[int, str]) -> Table:
    """Return a table of the variance components of each level."""
    columns = (
        Column("level", numeric=False),
        Column("cell-to-cell (95 % interval)"),
        Column("cycle-to-cycle (95 % interval)"),
        Column("read-to-read (95 % interval)"),
        Column("estimated on", numeric=False),
    )
    rows = tuple(
        (
            names[v.level],
            _cell(v.d2d),
            _cell(v.c2c) + (" *" if v.c2c and v.c2c_includes_read else ""),
            _cell(v.read),
            "ln G" if v.domain == "log" else "G",
        )
        for v in variation
    )
    starred = any(v.c2c and v.c2c_includes_read for v in variation)
    note = ". * Includes read noise; measure /reads to separate it."
    caption = "Variance components, as standard deviations"
    return Table(caption=caption + (note if starred else ""), columns=columns, rows=rows)


def spatial_table(variation: Sequence[VariationCard], names: Mapping[int, str]) -> Table | None:
    """Return a table of trends and smooth field of each level; None if none was fitted."""
    parts = [(names[v.level], v.spatial) for v in variation if v.spatial is not None]
    if not parts:
        return None
    columns = (
        Column("level", numeric=False),
        Column("trend per row"),
        Column("trend per column"),
        Column("share of cell-to-cell variance in the smooth field"),
        Column("correlation length [cells]"),
        Column("p-value (no field)"),
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
    caption = "Spatial variation over the array, with 95 % intervals"
    return Table(caption=caption, columns=columns, rows=rows)


def failure_table(failure: Sequence[FailureCard], names: Mapping[int, str]) -> Table:
    """Return a table of programming failure at each level."""
    columns = (
        Column("level", numeric=False),
        Column("failed attempts (95 % interval)"),
        Column("hard (cell never programs)"),
        Column("soft (one attempt fails)"),
        Column("attempts"),
        Column("median of failed cells (95 % interval)"),
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
    """Return a table of the held-out readings: coverage, KS distance and log score by level."""
    columns = (
        Column("level", numeric=False),
        Column("inside the 50 % interval"),
        Column("inside the 90 % interval"),
        Column("inside the 99 % interval"),
        Column("KS distance"),
        Column("log score [ln 1/S]"),
        Column("readings"),
    )
    rows = tuple(
        (
            names[x.level],
            *(
                f"{100 * c:.1f}\N{NO-BREAK SPACE}%"
                for c in (x.coverage50, x.coverage90, x.coverage99)
            ),
            number(x.ks_distance, 2),
            number(x.log_score, 5),
            f"{x.n_observations:,}",
        )
        for x in heldout
    )
    return Table(caption="Held-out check", columns=columns, rows=rows)


def _quantity_row(name: str, q: Quantity, percent: bool, *, between: bool) -> tuple[str, ...]:
    f = format_quantity_parts(q, percent=percent)
    row = name, f.value_with_unit, f.interval or "given", f.stderr or _ABSENT
    return (*row, _between(q, percent=percent)) if between else row


def _between(q: Quantity | None, *, percent: bool = False) -> str:
    """Return the standard deviation of a quantity between arrays."""
    if q is None or q.between is None:
        return _ABSENT
    return share(q.between) if percent else with_unit(q.between, q.unit, digits=2)


def _cell(q: Quantity | None, *, percent: bool = False) -> str:
    return _ABSENT if q is None else with_interval(q, percent=percent)


def _plain(x: float | None, digits: int) -> str:
    return _ABSENT if x is None else number(x, digits)
