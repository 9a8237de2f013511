"""The summary of a card: characteristics, problems, and whether the card can be used.

Every sentence states numbers of the card, with their 95 % intervals. Of the findings only the most
important is shown; the section on findings lists all. What was not measured is not here: the report
lists it in a section.
"""

from __future__ import annotations

from collections.abc import Sequence

from rramfit.card.quantity import Quantity, quantities
from rramfit.card.schema import ModelCard
from rramfit.errors import sentence
from rramfit.fitting.results.result import Finding
from rramfit.reporting.page.document import Block, KeyFigure, KeyFigures, Prose, Tone
from rramfit.reporting.page.wording import (
    capacity,
    counted,
    duration,
    format_quantity_parts,
    listed,
    share,
    with_interval,
    with_unit,
)
from rramfit.reporting.report_data.report_data import findings_in_card
from rramfit.reporting.sections.characteristics import (
    characteristics,
    level_count,
    level_name,
    measured_levels,
    relative_spreads,
)

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
        Prose(heading="Characteristics", paragraphs=characteristics(card)),
        Prose(
            heading="Problems",
            paragraphs=problems or (_NO_PROBLEMS,),
            tone=tone if problems else "ok",
        ),
        Prose(
            heading="Can the card be used?",
            paragraphs=tuple(x for x in (_usability(card), _of_arrays(card)) if x),
            tone=verdict,
        ),
    )


def _key_figures(card: ModelCard) -> list[KeyFigure]:
    verdict = card.quality.verdict
    items = [KeyFigure(label="Verdict", value=_MARKS[verdict], tone=verdict)]
    levels = measured_levels(card)
    if levels:
        first, last = levels[0].mean, levels[-1].mean
        detail = ""
        if first is not None and last is not None:
            detail = with_unit(first.value, "S")
            if len(levels) > 1:
                detail = f"{detail} to {with_unit(last.value, 'S')}"
        items.append(KeyFigure(label="Levels", value=level_count(card), detail=detail))
    if card.bits_per_cell is not None:
        bits = capacity(card.bits_per_cell)
        value, detail = bits.value_with_unit, bits.interval
        items.append(KeyFigure(label="Bits per cell", value=value, detail=detail))
    worst = max(relative_spreads(card), default=None, key=lambda x: x[0])
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
        where = level_name(card, f.level) if len(card.failure) > 1 else ""
        items.append(_figure("Failed attempts", f.probability, percent=True, where=where))
    if card.stuck is not None:
        middle = card.stuck.middle
        total = card.stuck.low.value + card.stuck.high.value + (middle.value if middle else 0.0)
        detail = "low, middle and high" if middle else "low and high"
        items.append(KeyFigure(label="Stuck cells", value=share(total), detail=detail))
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
        where = f" at {level_name(card, worst.level)}, the worst level" if several else ""
        p = with_interval(worst.probability, percent=True)
        sentences.append(f"{p} of the programming attempts fail{where}.")
    if card.stuck is not None:
        parts = [
            f"{with_interval(q, percent=True)} of the cells are stuck {where}"
            for side, where, q in (
                ("low", "low", card.stuck.low),
                ("middle", "in the middle", card.stuck.middle),
                ("high", "high", card.stuck.high),
            )
            if q is not None and _has_fault(card, f"stuck {side}", q.value)
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


def _of_arrays(card: ModelCard) -> str:
    """Return what the intervals say about other arrays, and what several arrays have shown."""
    found = [(path, q) for path, q in quantities(card) if q.ci95 is not None]
    known = [(path, q.between) for path, q in found if q.between is not None]
    if not found:
        return ""
    if not known:
        return (
            "The intervals estimate the process from this one array, with its variation between "
            "cells, lines and patches. They do not include the variation between arrays, which one "
            "array cannot show; nor can it show whether other arrays share its trends. Measure "
            "several arrays to estimate how much they differ."
        )
    examples = [
        f"{with_unit(q.between, 'S', digits=2)} for the {name} of {x.name}"
        for x in measured_levels(card)
        for name, q in (("mean", x.mean), ("standard deviation", x.std))
        if q is not None and q.between is not None
    ]
    first = f", such as {examples[0]}" if examples else ""
    missing = " For the other parameters it is not known." if len(known) < len(found) else ""
    return (
        "The intervals estimate the process from one array and do not include the variation "
        "between arrays. Its standard deviation, estimated from several arrays, is in the tables"
        f"{first}.{missing}"
    )
