"""What a card says about its chip, in sentences: levels, variation, lines, other groups.

Every sentence states numbers of the card, with their 95 % intervals.
"""

from __future__ import annotations

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard, ModelCard, OffLevelNoise, ReadNoiseCard, VariationCard
from rramfit.fitting.variation.spatial import SIGNIFICANT
from rramfit.reporting.page.line_wording import line_summary
from rramfit.reporting.page.wording import (
    capacity,
    duration,
    interval_text,
    listed,
    number,
    share,
    with_interval,
    with_unit,
)
from rramfit.units import counted, round_estimate

__all__ = [
    "characteristics",
    "level_count",
    "level_name",
    "measured_levels",
    "relative_spreads",
]

_ON_TARGET = 1e-3  # deviations from a target are not stated more finely


def characteristics(card: ModelCard) -> tuple[str, ...]:
    """Return one paragraph a subject."""
    paragraphs = [
        x
        for x in (
            _level_text(card),
            _variation_text(card),
            line_summary(card),
            _field_text(card),
            _group_text(card),
        )
        if x
    ]
    if not paragraphs:
        return ("The file holds too little data to describe the chip.",)
    return (*paragraphs, "Ranges in parentheses are 95 % confidence intervals.")


def _group_text(card: ModelCard) -> str:
    out: list[str] = []
    if card.iv is not None and card.iv.nonlinearity is not None:
        b = card.iv.nonlinearity
        superlinear = b.ci95 is None or b.ci95[0] > 0
        what = "superlinear" if superlinear else "linear within the error"
        out.append(f"I–V is {what}: sinh coefficient b = {with_interval(b)}.")
    out += [
        f"{switching.transition} at {with_interval(switching.voltage)} in sweeps "
        f"(standard deviation {with_interval(switching.spread)})."
        for switching in (card.iv and card.iv.switching) or ()
    ]
    if card.read_noise is not None and card.read_noise.coefficient is not None:
        out.append(f"Read noise is {_relative_noise(card.read_noise)}.")
    if card.read_noise is not None and card.read_noise.off_level is not None:
        off = card.read_noise.off_level
        what = f"In {counted(off.n_cells, 'cell')} that failed or are stuck"
        out.append(f"{what}, read noise is {_relative_noise(off)}.")
    if card.retention is not None:
        r = card.retention
        first, last = (duration(t.value) for t in (r.reference_time, r.longest_time))
        span = f"from {first} to {last}" if first != last else f"only at {last}"
        out.append(f"Retention was measured {span} after programming.")
        if r.collapsed is not None and r.collapsed.value > 0:
            lost = with_interval(r.collapsed, percent=True)
            out.append(f"Of the conducting cells, {lost} lost their state.")
    if card.line is not None and card.line.wordline_resistance is not None:
        w = with_interval(card.line.wordline_resistance)
        out.append(f"The wordline resistance per segment is {w}.")
    return " ".join(out)


def _relative_noise(noise: ReadNoiseCard | OffLevelNoise) -> str:
    size = (
        "unknown" if noise.coefficient is None else with_interval(noise.coefficient, percent=True)
    )
    at = noise.reference_conductance
    return f"{size} of the conductance" + (f" at {with_unit(at.value, 'S')}" if at else "")


def _level_text(card: ModelCard) -> str:
    levels = measured_levels(card)
    if not levels:
        return ""
    first, last = levels[0], levels[-1]
    if first.mean is None or last.mean is None:
        return ""
    several = len(levels) > 1
    if several:
        count = level_count(card)
        text = f"{count} levels from {with_interval(first.mean)} to {with_interval(last.mean)}"
        if first.mean.value > 0:
            text += f", a ratio of {_ratio(last.mean, first.mean)}"
    else:
        text = f"1 level at {with_interval(first.mean)}"
    sentences = [f"{text}."]
    deviations = [
        (abs(x.mean.value / x.target.value - 1), x)
        for x in levels
        if x.mean and x.target and x.target.value > 0
    ]
    if deviations:
        largest, at = max(deviations, key=lambda p: p[0])
        within = share(max(largest, _ON_TARGET))
        sentences.append(
            f"The means are within {within} of their targets; {at.name} deviates most."
            if several
            else f"The mean is within {within} of the target."
        )
    if card.bits_per_cell is not None:
        sentences.append(f"A cell stores {capacity(card.bits_per_cell).text}.")
    return " ".join(sentences)


def _ratio(a: Quantity, b: Quantity) -> str:
    """Format a/b with the digits that the standard errors of both justify."""
    value = a.value / b.value
    relative = sum(((q.stderr or 0.0) / q.value) ** 2 for q in (a, b)) ** 0.5
    half = 1.96 * abs(value) * relative
    if not half > 0:
        return number(value)
    return round_estimate(value, (value - half, value + half), "1").value


def _variation_text(card: ModelCard) -> str:
    sentences = []
    relative = relative_spreads(card)
    if relative:
        low, high = min(relative), max(relative)
        if share(low[0]) == share(high[0]):
            where = " at every level" if len(relative) > 1 else ""
            text = f"is {share(low[0])} of the mean{where}"
        else:
            text = f"is {share(low[0])} ({low[1]}) to {share(high[0])} ({high[1]}) of the mean"
        sentences.append(f"The standard deviation of accepted readings {text}.")
    shares = [s for v in card.variation if (s := _variance_shares(v))]
    if shares:
        parts = []
        for name, label in (
            ("d2d", "cell-to-cell variation"),
            ("c2c", "cycle-to-cycle variation"),
            ("read", "read noise"),
        ):
            values = [100 * s[name] for s in shares if name in s]
            if values:
                parts.append(f"{interval_text(min(values), max(values), unit='%')} {label}")
        levels = ", depending on the level" if len(shares) > 1 else ""
        sentences.append(f"The variance is {listed(parts)}{levels}.")
    elif any(v.d2d for v in card.variation):
        sentences.append(
            "With one sweep, cell-to-cell and cycle-to-cycle variation cannot be separated."
        )
    return " ".join(sentences)


def _field_text(card: ModelCard) -> str:
    tested = [v for v in card.variation if v.spatial and v.spatial.p_value is not None]
    found = [v for v in tested if _has_field(v)]
    if not found:
        return "No smooth field over the array was found." if tested else ""
    where = ""
    if len(found) < len(tested):
        only = f" ({level_name(card, found[0].level)})" if len(found) == 1 else ""
        where = f" at {len(found)} of {len(tested)} levels{only}"
    shares = [(s.share, s) for v in found if (s := v.spatial) and s.share]
    lengths = [s.correlation_length for v in found if (s := v.spatial) and s.correlation_length]
    if shares:
        largest, field = max(shares, key=lambda pair: pair[0].value)
        part = f"accounts for {'up to ' if len(shares) > 1 else ''}"
        part += f"{with_interval(largest, percent=True)} of the cell-to-cell variance"
        lengths = [field.correlation_length] if field.correlation_length else []
    else:
        part = "is part of the variation"
    length = ""
    if lengths:
        cells = with_interval(max(lengths, key=lambda q: q.value), noun="cells")
        length = f", with a correlation length of {cells}"
    return f"Adjacent cells are correlated{where}: a smooth field {part}{length}."


def _has_field(v: VariationCard) -> bool:
    """Return whether a level has a smooth field, by the rule of the fit."""
    p_value = v.spatial.p_value if v.spatial else None
    return p_value is not None and p_value < SIGNIFICANT


def measured_levels(card: ModelCard) -> list[LevelCard]:
    """Return the levels with an estimated mean."""
    return [x for x in card.levels if x.mean is not None]


def level_count(card: ModelCard) -> str:
    """Return the number of levels with an estimate, and of how many if some have none."""
    some, every = len(measured_levels(card)), len(card.levels)
    return str(some) if some == every else f"{some} of {every}"


def relative_spreads(card: ModelCard) -> list[tuple[float, str]]:
    """Return standard deviation over mean of each level whose mean is well above zero."""
    return [
        (x.std.value / x.mean.value, x.name)
        for x in card.levels
        if x.mean and x.std and x.mean.value > 0 and x.std.value < x.mean.value
    ]


def _variance_shares(v: VariationCard) -> dict[str, float]:
    """Return the shares of the variance by component; empty if there is only one."""
    parts = {
        name: q.value**2 for name in ("d2d", "c2c", "read") if (q := getattr(v, name)) is not None
    }
    total = sum(parts.values())
    return {k: x / total for k, x in parts.items()} if len(parts) > 1 and total > 0 else {}


def level_name(card: ModelCard, level: int) -> str:
    """Return the name of a level."""
    return next((x.name for x in card.levels if x.index == level), f"L{level}")
