"""The summary of a card: characteristics, problems, and whether the card can be used.

Every sentence states numbers of the card, with their 95 % intervals. Of the findings only the most
important is shown; the section on findings lists all. What was not measured is not here: the report
lists it in a section.
"""

from __future__ import annotations

from collections.abc import Sequence

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LevelCard, ModelCard, VariationCard
from rramfit.errors import sentence
from rramfit.fitting.result import Finding
from rramfit.reporting.page.document import Block, KeyFigure, KeyFigures, Prose, Tone
from rramfit.reporting.page.wording import (
    counted,
    duration,
    format_quantity_parts,
    interval_text,
    listed,
    number,
    share,
    with_interval,
    with_unit,
)
from rramfit.reporting.report_data.report_data import findings_in_card
from rramfit.units import round_estimate

__all__ = ["header_facts", "summary_blocks"]

_ANSWERS: dict[str, str] = {
    "ok": "Yes, within its domain.",
    "warning": "Yes, but read the findings first.",
    "bad": "No. Resolve the severe findings first.",
}
_NO_PROBLEMS = "No problems were found."
_MARKS = {"ok": "✓ ok", "warning": "! warning", "bad": "✕ bad"}
_MOST_FIGURES = 6  # in one row
_MANY_COLLAPSED = 0.01  # share of collapsed cells that is marked as bad
_SIGNIFICANT = 0.01  # p-value below which a smooth field is reported
_ON_TARGET = 1e-3  # deviations from a target are not stated more finely


def header_facts(card: ModelCard) -> tuple[tuple[str, str], ...]:
    """Return what identifies the card and its array, as (name, value)."""
    a = card.array
    facts = [
        ("Card", f"{card.name} {card.revision}"),
        ("Array", f"{a.rows} × {a.cols}, {a.cell}"),
        *[
            (name.capitalize(), value)
            for name in ("lot", "wafer", "die", "technology", "instrument")
            if (value := getattr(a, name))
        ],
        ("Time", card.provenance.time),
        ("Digest", f"{card.digest[:19]}…"),
    ]
    if card.domain.read_voltage is not None:
        facts.insert(2, ("Read voltage", with_unit(card.domain.read_voltage.value, "V")))
    if card.domain.temperature is not None:
        facts.insert(3, ("Temperature", with_unit(card.domain.temperature.value, "K", digits=4)))
    if a.synthetic:
        facts.insert(0, ("Data", "synthetic, not measured"))
    return tuple(facts)


def summary_blocks(
    card: ModelCard, findings: Sequence[tuple[str, Finding]] | None = None
) -> tuple[Block, ...]:
    """Return the key figures and three short texts: characteristics, problems, usability.

    Parameters
    ----------
    card : ModelCard
    findings : sequence of (str, Finding), optional
        Name of the fit and finding, the most important first; by default those of the card.
    """
    problems = _problems(card, findings_in_card(card) if findings is None else findings)
    verdict: Tone = card.quality.verdict
    tone: Tone = "warning" if verdict == "ok" else verdict
    return (
        KeyFigures(items=tuple(_key_figures(card))),
        Prose(heading="Characteristics", paragraphs=_characteristics(card)),
        Prose(
            heading="Problems",
            paragraphs=problems or (_NO_PROBLEMS,),
            tone=tone if problems else "ok",
        ),
        Prose(heading="Can the card be used?", paragraphs=(_usability(card),), tone=verdict),
    )


def _key_figures(card: ModelCard) -> list[KeyFigure]:
    verdict = card.quality.verdict
    items = [KeyFigure(label="Verdict", value=_MARKS[verdict], tone=verdict)]
    levels = _measured(card)
    if levels:
        first, last = levels[0].mean, levels[-1].mean
        detail = ""
        if first is not None and last is not None:
            detail = with_unit(first.value, "S")
            if len(levels) > 1:
                detail = f"{detail} to {with_unit(last.value, 'S')}"
        items.append(KeyFigure(label="Levels", value=_level_count(card), detail=detail))
    if card.bits_per_cell is not None:
        items.append(_figure("Bits per cell", card.bits_per_cell))
    worst = max(_relative(card), default=None, key=lambda x: x[0])
    if worst is not None:
        items.append(
            KeyFigure(
                label="Largest spread",
                value=share(worst[0]),
                detail=f"std/mean of G, {worst[1]}",
            )
        )
    if card.failure:
        f = max(card.failure, key=lambda x: x.probability.value)
        where = _name(card, f.level) if len(card.failure) > 1 else ""
        items.append(_figure("Failed attempts", f.probability, percent=True, where=where))
    if card.stuck is not None:
        total = card.stuck.low.value + card.stuck.high.value
        items.append(KeyFigure(label="Stuck cells", value=share(total), detail="low and high"))
    return items + _group_figures(card)[: max(_MOST_FIGURES - len(items), 0)]


def _figure(
    label: str, q: Quantity, *, percent: bool = False, where: str = "", tone: Tone = "plain"
) -> KeyFigure:
    f = format_quantity_parts(q, percent=percent)
    detail = ", ".join(text for text in (f.interval, where) if text)
    return KeyFigure(label=label, value=f.value_with_unit, detail=detail, tone=tone)


def _group_figures(card: ModelCard) -> list[KeyFigure]:
    """Return key figures of the other groups, for when the programming sweeps leave room."""
    items = []
    if card.retention is not None:
        r = card.retention
        if r.collapsed is not None:
            tone: Tone = "bad" if r.collapsed.value > _MANY_COLLAPSED else "plain"
            items.append(
                _figure("Cells that lost their state", r.collapsed, percent=True, tone=tone)
            )
        items.append(KeyFigure(label="Retention time", value=duration(r.longest_time.value)))
    if card.iv is not None and card.iv.nonlinearity is not None:
        items.append(_figure("sinh coefficient b", card.iv.nonlinearity))
    if card.line is not None and card.line.wordline_resistance is not None:
        items.append(_figure("Wordline, per segment", card.line.wordline_resistance))
    return items


def _characteristics(card: ModelCard) -> tuple[str, ...]:
    paragraphs = [
        x
        for x in (_level_text(card), _variation_text(card), _field_text(card), _group_text(card))
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
    if card.read_noise is not None and card.read_noise.coefficient is not None:
        c, noise = card.read_noise, with_interval(card.read_noise.coefficient, percent=True)
        at = (
            f" at {with_unit(c.reference_conductance.value, 'S')}"
            if c.reference_conductance
            else ""
        )
        out.append(f"Read noise is {noise} of the conductance{at}.")
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


def _level_text(card: ModelCard) -> str:
    levels = _measured(card)
    if not levels:
        return ""
    first, last = levels[0], levels[-1]
    if first.mean is None or last.mean is None:
        return ""
    several = len(levels) > 1
    if several:
        count = _level_count(card)
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
            f"The means are within {within} of their targets; {at.name} is the farthest off."
            if several
            else f"The mean is within {within} of the target."
        )
    if card.bits_per_cell is not None:
        bits = with_interval(card.bits_per_cell, noun="bits")
        sentences.append(f"A cell stores {bits}.")
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
    relative = _relative(card)
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
    tested = [v.spatial for v in card.variation if v.spatial and v.spatial.p_value is not None]
    found = [
        (s.share, s)
        for s in tested
        if s.share and s.p_value is not None and s.p_value < _SIGNIFICANT
    ]
    if not found:
        return "No smooth field over the array was found." if tested else ""
    largest, field = max(found, key=lambda pair: pair[0].value)
    length = ""
    if field.correlation_length:
        cells = with_interval(field.correlation_length, noun="cells")
        length = f", with a correlation length of {cells}"
    return (
        "Adjacent cells are correlated: a smooth field accounts for up to "
        f"{with_interval(largest, percent=True)} of the cell-to-cell variance{length}."
    )


def _problems(card: ModelCard, findings: Sequence[tuple[str, Finding]]) -> tuple[str, ...]:
    """Return the most important finding, the fault rates, and how many findings there are."""
    out = []
    if findings:
        out.append(sentence(findings[0][1].what))
    faults = _fault_text(card)
    if faults:
        out.append(faults)
    rest = findings[1:]
    if rest:
        severe = sum(finding.severe for _, finding in rest)
        which = f", {severe} of them severe," if severe else ""
        are = "is" if len(rest) == 1 else "are"
        more = counted(len(rest), "more finding")
        out.append(f"{more}{which} {are} listed under Findings and remedies.")
    return tuple(out)


def _fault_text(card: ModelCard) -> str:
    sentences = []
    failing = [f for f in card.failure if f.probability.value > 0]
    if failing:
        worst = max(failing, key=lambda f: f.probability.value)
        several = len(card.failure) > 1
        where = f" at {_name(card, worst.level)}, the worst level" if several else ""
        p = with_interval(worst.probability, percent=True)
        sentences.append(f"{p} of the programming attempts fail{where}.")
    if card.stuck is not None:
        parts = [
            f"{with_interval(q, percent=True)} of the cells are stuck {side}"
            for side, q in (("low", card.stuck.low), ("high", card.stuck.high))
            if _has_fault(card, f"stuck {side}", q.value)
        ]
        if parts:
            sentences.append(f"{listed(parts)}.")
    screened = card.quality.screened
    if screened is not None:
        dead = {
            "row" if "row" in k.lower() else "column": n
            for k, n in screened.reasons.items()
            if "dead" in k.lower() and n
        }
        if dead:
            parts = [f"{counted(n, 'cell')} in dead {line}s" for line, n in dead.items()]
            sentences.append(f"There are {listed(parts)}.")
        if screened.clipped_reads:
            are = "is" if screened.clipped_reads == 1 else "are"
            sentences.append(f"{counted(screened.clipped_reads, 'reading')} {are} at a rail.")
    return " ".join(sentences)


def _has_fault(card: ModelCard, reason: str, value: float) -> bool:
    """Whether a cell was screened out for this reason; the estimated share is never exactly 0."""
    screened = card.quality.screened
    if screened is None or not screened.reasons:
        return value > 0
    known = {k.replace("_", " "): n for k, n in screened.reasons.items()}
    return known.get(reason, 0) > 0


def _usability(card: ModelCard) -> str:
    sentences = [_ANSWERS[card.quality.verdict]]
    heldout = [h for h in card.quality.heldout if h.n_observations]
    if heldout:
        total = sum(h.n_observations for h in heldout)
        inside = {
            p: sum(getattr(h, f"coverage{p}") * h.n_observations for h in heldout) / total
            for p in (50, 90, 99)
        }
        sentences.append(
            f"Of {total:,} held-out readings, {share(inside[50], digits=3)}, "
            f"{share(inside[90], digits=3)} and {share(inside[99], digits=3)} are inside the "
            "predicted 50, 90 and 99 % intervals."
        )
    if card.array.synthetic:
        sentences.append("The data are synthetic, not measured.")
    return " ".join(sentences)


def _measured(card: ModelCard) -> list[LevelCard]:
    return [x for x in card.levels if x.mean is not None]


def _level_count(card: ModelCard) -> str:
    """Return the number of levels with an estimate, and of how many if some have none."""
    some, every = len(_measured(card)), len(card.levels)
    return str(some) if some == every else f"{some} of {every}"


def _relative(card: ModelCard) -> list[tuple[float, str]]:
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


def _name(card: ModelCard, level: int) -> str:
    return next((x.name for x in card.levels if x.index == level), f"L{level}")
