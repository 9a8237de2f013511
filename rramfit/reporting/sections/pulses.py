"""Section on pulse response: potentiation, depression, and what simulators are given."""

from __future__ import annotations

from functools import partial

from rramfit.card.blocks.pulses import PulseBranch, PulseCard
from rramfit.card.quantity import Quantity
from rramfit.errors import FitError
from rramfit.fitting.electrical.pulses.responding import find_responses
from rramfit.measurement.file.record import Pulses
from rramfit.reporting.figures.pulses import draw_pulses
from rramfit.reporting.page.document import Block, Column, Prose, Section, Table, figure
from rramfit.reporting.page.wording import number, with_interval
from rramfit.reporting.report_data.report_data import ReportData

__all__ = ["pulses_section"]

_ABSENT = "\N{EN DASH}"


def pulses_section(e: ReportData) -> Section | None:
    """Return the section on the response of single devices to equal pulses."""
    card = e.card.pulses
    if card is None:
        return None
    blocks: list[Block] = [
        *_curves(e.measurement.pulses, card),
        _branches_table(card),
        _summary_table(card),
        _forms_table(card),
    ]
    if len(card.branches) == 2:
        blocks += [Prose(paragraphs=(_SIMULATORS,)), _simulators_table(card)]
    return Section(key="pulses", title="Pulse response", blocks=tuple(blocks))


_SIMULATORS = (
    "The table lists what NeuroSim and aihwkit (SoftBoundsDevice) are given for the mean device. "
    "The coefficient a is that of the exponential course between the first and last reading of a "
    "run; NeuroSim's label names it by the distance from a straight line."
)


def _curves(data: Pulses | None, card: PulseCard) -> list[Block]:
    if data is None:
        return []
    try:
        found = find_responses(data)
    except FitError:
        return []
    measured = [r for r in (found.potentiation, found.depression) if r is not None]
    if len(measured) != len(card.branches):
        return []
    return [
        figure(
            partial(draw_pulses, runs=measured, branches=card.branches),
            key="pulse-response",
            title="Conductance after each pulse",
            caption="Median and middle 80 % of all runs of the devices that respond. Lines are the "
            "exponential course with the card's parameters.",
        )
    ]


def _cell(q: Quantity | None) -> str:
    return _ABSENT if q is None else with_interval(q)


def _branches_table(card: PulseCard) -> Table:
    rows: list[tuple[str, ...]] = []

    def row(text: str, name: str) -> None:
        values = [getattr(b, name) for b in card.branches]
        if any(v is not None for v in values):
            rows.append((text, *map(_cell, values)))

    for name, text in (
        ("start", "first reading of a run"),
        ("end", "last reading of a run"),
        ("step", "mean step"),
        ("nonlinearity", "nonlinearity coefficient a"),
    ):
        row(text, name)
        row(f"{text}: device to device", f"{name}_d2d")
        row(f"{text}: cycle to cycle", f"{name}_c2c")
    row("conductance at which steps vanish", "bound")
    row("scatter of a reading", "scatter")
    row("random part of one step", "step_noise")
    rows.append(("runs", *(f"{b.n_branches:,}" for b in card.branches)))
    rows.append(("devices", *(f"{b.n_devices:,}" for b in card.branches)))
    rows.append(("steps in a run", *(f"{b.pulses:,}" for b in card.branches)))
    return Table(
        caption="Potentiation and depression, with 95 % intervals",
        columns=(
            Column("quantity", numeric=False),
            *(Column(b.direction) for b in card.branches),
        ),
        rows=tuple(rows),
    )


def _summary_table(card: PulseCard) -> Table:
    rows = [
        ("devices that respond", with_interval(card.responding, percent=True)),
        ("lowest conductance", with_interval(card.lowest)),
        ("highest conductance", with_interval(card.highest)),
        ("dynamic range (highest / lowest)", _cell(card.dynamic_range)),
        ("levels six standard deviations apart", with_interval(card.levels)),
        ("asymmetry of steps in the middle", _cell(card.asymmetry)),
    ]
    return Table(
        caption="Range and levels",
        columns=(Column("quantity", numeric=False), Column("value")),
        rows=tuple(rows),
        width="half",
    )


def _forms_table(card: PulseCard) -> Table:
    rows = tuple(
        (b.direction, f.form, f"{100 * f.heldout_error:.3g} %", _chosen(b, f.form))
        for b in card.branches
        for f in b.forms
    )
    return Table(
        caption="Error on held-out readings, relative to the range; of forms within one standard "
        "error of the best, the simplest is chosen",
        columns=(
            Column("direction", numeric=False),
            Column("form", numeric=False),
            Column("error"),
            Column("", numeric=False),
        ),
        rows=rows,
        width="half",
    )


def _chosen(b: PulseBranch, form: str) -> str:
    return "chosen" if b.form == form else ""


def _simulators_table(card: PulseCard) -> Table:
    rows = [("NeuroSim", name, number(value)) for name, value in card.neurosim().items()]
    rows += [("aihwkit", name, number(value)) for name, value in card.soft_bounds().items()]
    return Table(
        caption="Parameters of simulators",
        columns=(
            Column("simulator", numeric=False),
            Column("parameter", numeric=False),
            Column("value"),
        ),
        rows=tuple(rows),
        folded=True,
    )
