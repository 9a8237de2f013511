"""Sections on whether a card can be trusted: findings, held-out check, screening, provenance."""

from __future__ import annotations

import json
from functools import partial

from rramfit.card.quantity import quantities
from rramfit.card.schema import ModelCard
from rramfit.reporting.figures.heldout import draw_coverage
from rramfit.reporting.page.document import (
    Block,
    Column,
    Facts,
    Note,
    Prose,
    Section,
    Table,
    figure,
)
from rramfit.reporting.page.tables import heldout_table, quantity_table
from rramfit.reporting.page.wording import counted, fit_name

__all__ = [
    "findings_section",
    "heldout_section",
    "missing_section",
    "parameters_section",
    "provenance_section",
    "screening_section",
]

_SHOWN_PARAMETERS = 60  # more are folded away
_FORETOLD = (
    "Fitted on a part of the cells and cycles, the card predicts the rest. An interval that is "
    "right holds as much of the unseen as it says."
)


def findings_section(card: ModelCard, mild: frozenset[str] = frozenset()) -> Section:
    """Every finding of every fit, the severe ones first, with what to do about it.

    Parameters
    ----------
    card : ModelCard
    mild : frozenset of str
        Findings of bad fits that are not what makes them bad.
    """
    severe: list[Block] = []
    warnings: list[Block] = []
    for name, fit in card.quality.fits.items():
        if fit.verdict not in ("bad", "warning"):
            continue
        remedies = [*fit.remedies, *[""] * (len(fit.findings) - len(fit.remedies))]
        for finding, remedy in zip(fit.findings, remedies, strict=False):
            bad = fit.verdict == "bad" and finding not in mild
            note = Note(
                text=f"{fit_name(name)}: {_ended(finding)}",
                remedy=_ended(_sentence(remedy)),
                tone="bad" if bad else "warning",
            )
            (severe if bad else warnings).append(note)
    notes = severe + warnings
    sound = [fit_name(k) for k, fit in card.quality.fits.items() if fit.verdict == "ok"]
    if sound:
        notes.append(Note(text=f"Nothing was found against: {'; '.join(sound)}.", tone="ok"))
    if not notes:
        notes.append(Note(text="No fit was run.", tone="plain"))
    return Section(key="findings", title="Findings and remedies", blocks=tuple(notes))


def heldout_section(card: ModelCard) -> Section | None:
    """How well the card predicts cells and cycles that it was not fitted to."""
    heldout = card.quality.heldout
    if not heldout:
        return None
    names = {x.index: x.name for x in card.levels} | {
        h.level: f"L{h.level}" for h in heldout if all(x.index != h.level for x in card.levels)
    }
    blocks: list[Block] = [
        Prose(paragraphs=(_FORETOLD,)),
        figure(
            partial(draw_coverage, heldout=heldout, names=names),
            key="coverage",
            title="Coverage of the unseen",
            caption="Share of held-out readings inside the predictive intervals (points) beside "
            "what was promised (dashed lines).",
            width="full" if len(heldout) > 4 else "half",
            size=(9.1, 2.8) if len(heldout) > 4 else None,
        ),
        heldout_table(heldout, names),
    ]
    return Section(key="heldout", title="Held-out check", blocks=tuple(blocks))


def screening_section(card: ModelCard) -> Section | None:
    """Cells that were kept out of the fits, and why."""
    screened = card.quality.screened
    if screened is None:
        return None
    reasons = {k: n for k, n in screened.reasons.items() if n}
    cells = card.array.rows * card.array.cols
    kept = f"{counted(screened.cells_used, 'cell')} of {cells:,} used in the fits."
    clipped = f"{counted(screened.clipped_reads, 'reading')} clipped at a rail."
    blocks: list[Block] = [Prose(paragraphs=(f"{_sentence(kept)} {_sentence(clipped)}",))]
    if reasons:
        columns = (Column("reason", numeric=False), Column("cells"))
        rows = tuple((k.replace("_", " "), f"{n:,}") for k, n in reasons.items())
        blocks.append(Table(caption="Cells screened out", columns=columns, rows=rows))
    return Section(key="screening", title="Screening", blocks=tuple(blocks))


def missing_section(card: ModelCard) -> Section | None:
    """Fits that the file has no data for, one line each."""
    missing = [(name, fit) for name, fit in card.quality.fits.items() if fit.verdict == "not run"]
    if not missing:
        return None
    facts = tuple(
        (fit_name(name), "; ".join([*fit.findings, *fit.remedies]) or "not run")
        for name, fit in missing
    )
    return Section(key="missing", title="Not measured", blocks=(Facts(items=facts),))


def parameters_section(card: ModelCard) -> Section:
    """Every number of the card, by its key path."""
    rows = [(path, q, False) for path, q in quantities(card)]
    table = quantity_table(
        "Every parameter, by its path in the card", rows, folded=len(rows) > _SHOWN_PARAMETERS
    )
    return Section(key="parameters", title="All parameters", blocks=(table,))


def provenance_section(card: ModelCard) -> Section:
    """Where the card came from."""
    p = card.provenance
    facts = [
        ("Card", f"{card.name} {card.revision}, schema {card.schema_version}"),
        ("Digest", card.digest),
        ("Package", f"rramfit {p.rramfit_version}"),
        ("Seed", str(p.seed)),
        ("Arguments", json.dumps(p.arguments, sort_keys=True) if p.arguments else "none"),
        ("Time", f"{p.time} ({p.time_source})"),
    ]
    if card.cells is not None:
        facts.append(("Per-cell maps", f"{card.cells.file}, sha256 {card.cells.sha256}"))
    blocks: list[Block] = [Facts(items=tuple(facts))]
    if p.inputs:
        columns = (Column("input", numeric=False), Column("sha256", numeric=False))
        rows = tuple((x.name, x.sha256) for x in p.inputs)
        blocks.append(Table(caption="Inputs", columns=columns, rows=rows))
    return Section(key="provenance", title="Provenance", blocks=tuple(blocks))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ended(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."
