"""The report of one characterized array: which sections it has, and in which order.

Sections are there only for what the file allows; what is missing has one line each. Nothing is
estimated here: every number is the card's, and every picture shows the data beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rramfit.reporting.page.document import Report
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.other_groups import (
    endurance_section,
    iv_section,
    read_noise_section,
    readout_section,
    retention_section,
)
from rramfit.reporting.sections.programming import (
    failure_section,
    levels_section,
    maps_section,
    variation_section,
)
from rramfit.reporting.sections.quality import (
    findings_section,
    heldout_section,
    missing_section,
    parameters_section,
    provenance_section,
    screening_section,
)
from rramfit.reporting.sections.summary import header_facts, summary_blocks
from rramfit.reporting.sections.wires import line_section

if TYPE_CHECKING:
    from rramfit.fitting.characterization import Characterization

__all__ = ["report_characterization", "report_from_data", "save_report"]


def report_from_data(evidence: ReportData) -> Report:
    """Make the report of a card and the data beside it."""
    card = evidence.card
    sections = (
        findings_section(card, evidence.mild),
        levels_section(evidence),
        maps_section(evidence),
        variation_section(evidence),
        failure_section(evidence),
        read_noise_section(evidence),
        retention_section(evidence),
        endurance_section(evidence),
        iv_section(evidence),
        line_section(evidence),
        readout_section(evidence),
        heldout_section(card),
        screening_section(card),
        missing_section(card),
        parameters_section(card),
        provenance_section(card),
    )
    return Report(
        title=card.array.id,
        subtitle="Characterization of a resistive-memory array",
        facts=header_facts(card),
        lead=summary_blocks(card, evidence.mild),
        sections=tuple(s for s in sections if s is not None),
        footer=f"Made by rramfit {card.provenance.rramfit_version} from card {card.digest}.",
    )


def report_characterization(characterization: Characterization) -> str:
    """Write the report of a characterization as one self-contained HTML document."""
    return _report(characterization).to_html()


def save_report(characterization: Characterization, path: Path | str) -> None:
    """Write the report of a characterization to a file, whole or not at all."""
    _report(characterization).save(Path(path))


def _report(characterization: Characterization) -> Report:
    c = characterization
    return report_from_data(
        ReportData(
            card=c.card,
            measurement=c.measurement,
            statistics=c.statistics,
            cells=c.cells,
            mild=frozenset(
                finding.what
                for fit in c.results().values()
                for finding in fit.verdict.findings
                if not finding.severe
            ),
        )
    )
