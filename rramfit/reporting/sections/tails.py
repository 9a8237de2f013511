"""Section on tails: raw error rates, codes, extreme values, tolerance intervals, capability."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from rramfit.card.blocks.tails import CodeCard, LevelTailCard, TailsCard
from rramfit.card.quantity import Quantity
from rramfit.reporting.figures.tails import draw_tails
from rramfit.reporting.page.document import Block, Column, Note, Section, Table, figure
from rramfit.reporting.page.wording import number, share, with_interval, with_unit
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.units import format_rate

__all__ = ["tails_section"]

_OfLevel = TypeVar("_OfLevel")

_ABSENT = "\N{EN DASH}"
_FEW_LEVELS = 6
_FEWEST_READINGS = 30
_FIRST_SHARE = 1e-6  # of the table; the figure has more
_SOURCES = {
    "extreme": "from the extreme values of the levels",
    "fitted": "from the fitted distributions",
    "counted": "from the counted errors",
}


def tails_section(e: ReportData) -> Section | None:
    """Return the section on tails and raw error rates."""
    card = e.card.tails
    if card is None:
        return None
    blocks: list[Block] = []
    readings = {}
    if card.levels:
        readings = {k: v for k, v in e.readings.items() if v.size >= _FEWEST_READINGS}
    if 0 < len(readings) <= _FEW_LEVELS:
        blocks.append(
            figure(
                partial(draw_tails, readings=readings, levels=e.level_cards, tails=card),
                key="tails",
                title="Tails of the levels",
                caption="Share of readings at or below (left flank) and above (right flank) a "
                "conductance: readings with their 95 % band (points), fitted family (thin lines), "
                "and generalised Pareto distribution from its threshold on (thick lines), with the "
                "95 % band from 1e-4 to 1e-9. Dashed lines are the read thresholds.",
                width="full",
                size=(9.1, 4.1),
            )
        )
    if card.error_rates:
        blocks.append(_rates_table(card, e.level_name))
    if card.bit_error_rate is not None:
        blocks.append(_bits_note(card))
        blocks.append(_codes_table(card.codes))
    if any(t.quantiles for t in card.levels.values()):
        blocks.append(_quantiles_table(card, e.level_name))
    if card.levels:
        blocks.append(_thresholds_table(_by_level(card.levels), e.level_name))
    if card.tolerance:
        blocks.append(_tolerance_table(card, e.level_name))
    if card.capability:
        blocks.append(_capability_table(card, e.level_name))
    if not blocks:
        return None
    return Section(key="tails", title="Tails and error rates", blocks=tuple(blocks))


def _rates_table(card: TailsCard, name: Callable[[int], str]) -> Table:
    columns = (
        Column("levels", numeric=False),
        Column("threshold"),
        Column("errors"),
        Column("readings"),
        Column("counted (95 % interval)"),
        Column("with failures and stuck cells"),
        Column("by family"),
        Column("by extreme values"),
    )
    rows = tuple(
        (
            f"{name(r.lower)} and {name(r.upper)}",
            with_unit(r.threshold.value, "S") + (" (given)" if r.given else ""),
            f"{r.errors:,}",
            f"{r.readings:,}",
            _rate(r.counted),
            _rate(r.with_failures),
            _rate(r.fitted),
            _rate(r.extreme),
        )
        for r in _by_level(card.error_rates)
    )
    caption = "Raw error rate of neighbouring levels, as programmed, both equally frequent"
    return Table(caption=caption, columns=columns, rows=rows)


def _bits_note(card: TailsCard) -> Note:
    assert card.bit_error_rate is not None
    source = _SOURCES[card.bit_error_rate_by or "counted"]
    return Note(
        text="The raw bit error rate in Gray code, as programmed, is "
        f"{_rate(card.bit_error_rate)}, {source}. The codes below assume that the "
        "bits of a word fail independently; interleave words if faults gather in lines."
    )


def _codes_table(codes: list[CodeCard]) -> Table:
    columns = (
        Column("data bits of a word"),
        Column("uncorrectable bit error rate"),
        Column("code", numeric=False),
        Column("corrects"),
        Column("check bits"),
        Column("corrects, at the upper limit of the rate"),
        Column("check bits there"),
    )
    rows = tuple(
        (
            f"{c.data_bits:,}",
            f"at most {c.target:g}",
            c.kind or "none of rate 1/2 or above",
            _count(c.corrects),
            _count(c.check_bits),
            _count(c.corrects_at_limit),
            _count(c.check_bits_at_limit),
        )
        for c in codes
    )
    return Table(
        caption="Error-correcting code that the bit error rate needs", columns=columns, rows=rows
    )


def _quantiles_table(card: TailsCard, name: Callable[[int], str]) -> Table:
    every = {float(p) for t in card.levels.values() for p in t.quantiles}
    shares = sorted((p for p in every if p <= _FIRST_SHARE), reverse=True)
    columns = (
        Column("tail", numeric=False),
        Column("shape ξ (95 % interval)"),
        *(Column(f"beyond at 1e{round(math.log10(p))}") for p in shares),
        Column("readings and family", numeric=False),
    )
    rows = []
    for t in _by_level(card.levels):
        found = {float(p): q for p, q in t.quantiles.items()}
        cells = (with_interval(found[p]) if p in found else "not determined" for p in shares)
        verdict = {"agree": "agree", "heavier": "heavier than family", "lighter": "lighter"}
        rows.append(
            (f"{name(t.level)}, {t.side}", with_interval(t.shape), *cells, verdict[t.agreement])
        )
    return Table(
        caption="Conductance that a small share of readings is beyond, by extreme values",
        columns=columns,
        rows=tuple(rows),
        folded=len(rows) > 2 * _FEW_LEVELS,
    )


def _thresholds_table(tails: list[LevelTailCard], name: Callable[[int], str]) -> Table:
    columns = (
        Column("tail", numeric=False),
        Column("threshold"),
        Column("readings beyond"),
        Column("mean excess"),
        Column("shape ξ"),
        Column("standard error"),
        Column("p-value (goodness of fit)"),
    )
    rows = tuple(
        (
            f"{name(t.level)}, {t.side}" + (" (taken)" if c.threshold == t.threshold.value else ""),
            with_unit(c.threshold, "S"),
            f"{c.exceedances:,}",
            number(c.mean_excess) if t.log else with_unit(c.mean_excess, "S"),
            number(c.shape, 2),
            number(c.shape_stderr, 2),
            number(c.p_value, 2),
        )
        for t in tails
        for c in t.tried
    )
    caption = (
        "Choice of the thresholds: the lowest that the goodness-of-fit test does not reject at "
        "10 %, else the one with the largest p-value"
    )
    return Table(caption=caption, columns=columns, rows=rows, folded=True)


def _tolerance_table(card: TailsCard, name: Callable[[int], str]) -> Table:
    columns = (
        Column("level", numeric=False),
        Column("lower limit"),
        Column("upper limit"),
        Column("method", numeric=False),
        Column("independent cells"),
    )
    rows = tuple(
        (
            name(t.level),
            _plain(t.lower),
            _plain(t.upper),
            t.method or f"too few cells; {t.cells_needed or 0:,} are needed",
            f"{t.cells:,.0f}",
        )
        for t in _by_level(card.tolerance)
    )
    first = _by_level(card.tolerance)[0]
    caption = (
        f"Tolerance intervals: {share(first.coverage, digits=4)} of cells with "
        f"{share(first.confidence)} confidence (ISO 16269-6)"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _capability_table(card: TailsCard, name: Callable[[int], str]) -> Table:
    columns = (
        Column("level", numeric=False),
        Column("Pp (95 % interval)"),
        Column("Ppk (95 % interval)"),
        Column("share of the distribution outside"),
    )
    rows = tuple(
        (
            name(c.level),
            with_interval(c.pp) if c.pp is not None else _ABSENT,
            with_interval(c.ppk),
            format_rate(c.beyond),
        )
        for c in _by_level(card.capability)
    )
    caption = "Capability of accepted readings against the verify window, percentile method"
    return Table(caption=caption, columns=columns, rows=rows)


def _by_level(parts: Mapping[str, _OfLevel]) -> list[_OfLevel]:
    """Return parts in the order of their levels; a card sorts their keys as text."""
    return [
        part for _, part in sorted(parts.items(), key=lambda x: (int(x[0].split("_")[0]), x[0]))
    ]


def _rate(q: Quantity | None) -> str:
    return _ABSENT if q is None else format_rate(q.value, q.ci95)


def _count(n: int | None) -> str:
    return _ABSENT if n is None else f"{n:,}"


def _plain(q: Quantity | None) -> str:
    return _ABSENT if q is None else with_unit(q.value, q.unit, digits=4)
