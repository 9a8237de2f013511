"""Sections on the quality of a card: findings, held-out check, screening, provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from rramfit.card.quantity import quantities
from rramfit.card.schema import ModelCard
from rramfit.errors import sentence
from rramfit.fitting.results.result import Finding
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
from rramfit.reporting.page.wording import counted, fit_name, listed
from rramfit.reporting.report_data.report_data import findings_in_card

__all__ = [
    "findings_section",
    "heldout_section",
    "missing_section",
    "parameters_section",
    "provenance_section",
    "screening_section",
]

_SHOWN_PARAMETERS = 60  # more are folded away
_HOW_TO = {
    "Measure /program.": "Program the cells and read each of them back",
    "Measure /levels.": "State the target conductances of the levels",
    "Measure /reads.": "Read programmed cells many times in a row",
    "Measure /retention.": "Read programmed cells again after minutes, hours and days",
    "Measure /endurance.": "Read both states after rising numbers of SET/RESET cycles",
    "Measure /attempts.": "Log the pulses and the final reading of each write-verify attempt",
    "Measure /pulses.": "Read the conductance after every pulse of SET and RESET trains",
    "Measure /iv.": "Sweep the voltage of some cells and record their current",
    "Measure /mvm.": "Drive all rows at once and record the currents of the columns",
    "Measure /readout.": "Apply known currents to the read-out and record its codes",
}
"""What a device engineer does for a fit, by the remedy that a card states."""

_HELDOUT = (
    "The distributions were fitted to a part of the cells and cycles and predict the rest. A "
    "correct 90 % interval contains 90 % of the held-out readings."
)


def findings_section(
    card: ModelCard, findings: Sequence[tuple[str, Finding]] | None = None
) -> Section:
    """Return the section with all findings and their remedies, the most important first.

    Parameters
    ----------
    card : ModelCard
    findings : sequence of (str, Finding), optional
        Name of the fit and finding, in this order; by default those of the card.
    """
    notes = [
        Note(
            label=fit_name(name),
            text=sentence(finding.what),
            remedy=sentence(finding.remedy),
            code=finding.code,
            tone="bad" if finding.severe else "warning",
        )
        for name, finding in (findings_in_card(card) if findings is None else findings)
    ]
    sound = [fit_name(k) for k, fit in card.quality.fits.items() if fit.verdict == "ok"]
    if sound:
        names = listed([sound[0], *(_uncapitalized(name) for name in sound[1:])])
        notes.append(Note(text=f"{names}: no findings.", tone="ok"))
    if not notes:
        notes.append(Note(text="No fit was run."))
    return Section(key="findings", title="Findings and remedies", blocks=tuple(notes))


def heldout_section(card: ModelCard) -> Section | None:
    """Return the section on the prediction of held-out cells and cycles; None if not checked."""
    heldout = card.quality.heldout
    if not heldout:
        return None
    names = {x.index: x.name for x in card.levels} | {
        h.level: f"L{h.level}" for h in heldout if all(x.index != h.level for x in card.levels)
    }
    blocks: list[Block] = [
        Prose(paragraphs=(_HELDOUT,)),
        figure(
            partial(draw_coverage, heldout=heldout, names=names),
            key="coverage",
            title="Coverage of held-out readings",
            caption="Share of held-out readings inside the predictive intervals (points), and the "
            "nominal coverage (dashed lines).",
            width="full" if len(heldout) > 4 else "half",
            size=(9.1, 2.8) if len(heldout) > 4 else None,
        ),
        heldout_table(heldout, names),
    ]
    return Section(key="heldout", title="Held-out check", blocks=tuple(blocks))


def screening_section(card: ModelCard) -> Section | None:
    """Return the section on cells excluded from the fits; None if there was no screening."""
    screened = card.quality.screened
    if screened is None:
        return None
    reasons = {k: n for k, n in screened.reasons.items() if n}
    cells = card.array.rows * card.array.cols
    used = f"The fits use {screened.cells_used:,} of {counted(cells, 'cell')}."
    verb = "is" if screened.clipped_reads == 1 else "are"
    clipped = sentence(f"{counted(screened.clipped_reads, 'reading')} {verb} clipped at a rail")
    blocks: list[Block] = [Prose(paragraphs=(f"{used} {clipped}",))]
    if reasons:
        columns = (Column("reason", numeric=False), Column("cells"))
        rows = tuple(
            (k.replace("_", " ").replace("dead col", "dead column"), f"{n:,}")
            for k, n in reasons.items()
        )
        blocks.append(Table(caption="Excluded cells", columns=columns, rows=rows))
    return Section(key="screening", title="Screening", blocks=tuple(blocks))


def missing_section(card: ModelCard) -> Section | None:
    """Return the list of fits that the file has no data for; None if there are none."""
    missing = [(name, fit) for name, fit in card.quality.fits.items() if fit.verdict == "not run"]
    if not missing:
        return None
    facts = tuple(
        (
            fit_name(name),
            " ".join(sentence(_HOW_TO.get(x, x)) for x in [*fit.findings, *fit.remedies])
            or "Not run.",
        )
        for name, fit in missing
    )
    return Section(key="missing", title="Not measured", blocks=(Facts(items=facts),))


def parameters_section(card: ModelCard) -> Section:
    """Return the table of all numbers of the card, by key path."""
    rows = [(path, q, False) for path, q in quantities(card)]
    table = quantity_table(
        "All parameters, by key path in the card", rows, folded=len(rows) > _SHOWN_PARAMETERS
    )
    return Section(key="parameters", title="All parameters", blocks=(table,))


def provenance_section(card: ModelCard) -> Section:
    """Return the section on the origin of the card."""
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


def _uncapitalized(name: str) -> str:
    return name if name[1:2].isupper() or not name[1:2].isalpha() else name[:1].lower() + name[1:]
