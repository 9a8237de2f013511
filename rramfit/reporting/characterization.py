"""The report of one characterized array: its sections and their order.

A section is present if the file has data for it; groups that are missing are listed in one section.
Nothing is estimated here: all numbers come from the card, and the figures show them with the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rramfit.reporting.page.document import Link, Report
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.effort import effort_section, gauge_section
from rramfit.reporting.sections.endurance import endurance_section
from rramfit.reporting.sections.line_offsets import line_offsets_section
from rramfit.reporting.sections.other_groups import (
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
from rramfit.reporting.sections.pulses import pulses_section
from rramfit.reporting.sections.quality import (
    findings_section,
    heldout_section,
    missing_section,
    parameters_section,
    provenance_section,
    screening_section,
)
from rramfit.reporting.sections.summary import header_facts, summary_blocks
from rramfit.reporting.sections.tails import tails_section
from rramfit.reporting.sections.temperature import temperature_section
from rramfit.reporting.sections.wires import line_section

if TYPE_CHECKING:
    from rramfit.fitting.characterization import Characterization

__all__ = ["report_characterization", "report_from_data", "save_report"]


def report_from_data(data: ReportData) -> Report:
    """Build the report of a card and its measured data."""
    card = data.card
    sections = (
        findings_section(card, data.findings),
        levels_section(data),
        maps_section(data),
        variation_section(data),
        line_offsets_section(data),
        failure_section(data),
        tails_section(data),
        read_noise_section(data),
        retention_section(data),
        temperature_section(data),
        endurance_section(data),
        effort_section(data),
        pulses_section(data),
        iv_section(data),
        line_section(data),
        readout_section(data),
        gauge_section(data),
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
        lead=summary_blocks(card, data.findings),
        sections=tuple(s for s in sections if s is not None),
        footer=f"Made by rramfit {card.provenance.rramfit_version} from card {card.digest}.",
    )


def report_characterization(characterization: Characterization) -> str:
    """Return the report of a characterization as one self-contained HTML document."""
    return _report(characterization).to_html()


def save_report(
    characterization: Characterization, path: Path | str, *, related: Sequence[Link] = ()
) -> None:
    """Write the report of a characterization to a file, atomically.

    Parameters
    ----------
    characterization : Characterization
    path : Path
    related : sequence of Link
        Files of the same folder to which the report links below its title.
    """
    replace(_report(characterization), related=tuple(related)).save(Path(path))


def _report(characterization: Characterization) -> Report:
    c = characterization
    return report_from_data(
        ReportData(
            card=c.card,
            measurement=c.measurement,
            statistics=c.statistics,
            cells=c.cells,
            verdicts=c.verdicts,
        )
    )
