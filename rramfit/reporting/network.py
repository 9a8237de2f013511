"""Reports of networks on chips: an evaluation over chips, an ablation.

Nothing is computed here: the numbers come from `rramfit.mapping`; each figure has a table with its
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.provenance import package_version
from rramfit.reporting.page.document import (
    Column,
    KeyFigure,
    KeyFigures,
    Prose,
    Report,
    Section,
    Table,
    figure,
)
from rramfit.reporting.page.theme import INK, SERIES
from rramfit.reporting.sections.conditions import condition_sections
from rramfit.units import round_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.mapping.study.ablation import Ablation
    from rramfit.mapping.study.conditions import Conditions
    from rramfit.mapping.study.evaluation import Estimate, Evaluation
    from rramfit.mapping.study.scores.metrics import Measure
    from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = [
    "ablation_report",
    "assumption_sections",
    "evaluation_report",
    "setup_facts",
]


def evaluation_report(
    network: str,
    setup: AnalogSetup,
    data: str,
    evaluation: Evaluation,
    *,
    conditions: Conditions,
    card_limits: Sequence[str] = (),
    together: Mapping[str, Evaluation] | None = None,
) -> Report:
    """Report the accuracy of a network over chips.

    `card_limits` are sentences on what the draws of the card leave out. `together` has evaluations
    of committees and of mirrored images, which are reported apart.
    """
    e, of = evaluation, evaluation.measure
    unit = ", in per cent" if of.share else ""
    chart = figure(
        partial(_draw_chips, e),
        key="chips",
        title=f"{of.title} of each chip",
        caption=f"Chips in the order of {of.name}, with the mean (solid line), the digital network "
        "(dashed) and the yield threshold (dotted).",
        width="full",
    )
    rows = [
        ("mean", *_estimate(e.mean, of)),
        ("standard deviation", *_estimate(e.deviation, of)),
        ("5th percentile", *_estimate(e.percentile5, of)),
        ("95th percentile", *_estimate(e.percentile95, of)),
        (f"yield at {of.text(e.threshold)}", *_percents(e.chip_yield)),
    ]
    table = Table(
        caption=f"Over chips{unit}, with 95 % intervals",
        columns=(Column("", numeric=False), Column("value"), Column("low"), Column("high")),
        rows=tuple(rows),
    )
    every = Table(
        caption=f"{of.title} of each chip{unit}",
        columns=(Column("chip"), Column(of.name)),
        rows=tuple((str(i), of.number(a)) for i, a in enumerate(e.accuracies)),
        folded=True,
    )
    return Report(
        title=f"{network} on chips",
        subtitle=f"{of.title} on {e.chips} chips of {setup.card_name}",
        facts=(
            ("data", f"{data}, {e.images} images"),
            *setup_facts(setup),
        ),
        lead=(_key_figures(e),),
        sections=(
            Section(key="accuracy", title=of.title, blocks=(chart, table, every)),
            *_total_sections(e, card_limits),
            *_together_sections(together or {}),
            *condition_sections(conditions),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def ablation_report(
    network: str,
    setup: AnalogSetup,
    data: str,
    ablation: Ablation,
    *,
    conditions: Conditions,
) -> Report:
    """Report the accuracy that each non-ideality costs, and what each help is worth."""
    everything = ablation.everything
    of = everything.measure
    unit = ", in per cent" if of.share else ""
    points = "Percentage points of" if of.share else "Change of"
    chart = figure(
        partial(_draw_costs, ablation),
        key="costs",
        title="Cost of each factor",
        caption=f"{points} {of.name} lost with the factor alone, and recovered when only "
        "this factor is switched off. Lines are 95 % intervals of the mean over chips.",
        width="full",
        size=(9.1, 0.9 + 0.34 * max(len(ablation.factors), 1)),
        margins=(1.2, 0.5, 0.12, 0.12),
    )
    rows = tuple(
        (
            f.factor,
            of.number(f.alone.mean.value),
            of.difference(everything.digital - f.alone.mean.value),
            of.number(f.without.mean.value),
            of.difference(f.without.mean.value - everything.mean.value),
            str(f.alone.chips),
        )
        for f in ablation.factors
    )
    table = Table(
        caption=f"Mean {of.name} over chips{unit}",
        columns=(
            Column("factor", numeric=False),
            Column("alone"),
            Column("cost"),
            Column("all others"),
            Column("recovered"),
            Column("chips"),
        ),
        rows=rows,
    )
    absent = ", ".join(ablation.absent) or "none"
    note = Prose(paragraphs=(f"Factors that this card or setup does not have: {absent}.",))
    return Report(
        title=f"{network}: cost of each non-ideality",
        subtitle=f"On chips of {setup.card_name}",
        facts=(
            ("data", f"{data}, {everything.images} images"),
            *setup_facts(setup),
        ),
        lead=(_key_figures(everything),),
        sections=(
            Section(key="factors", title="Factors", blocks=(chart, table, note)),
            *_help_sections(ablation),
            *condition_sections(conditions),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def _help_sections(ablation: Ablation) -> tuple[Section, ...]:
    """Return a section with the accuracy without each help; none if no help was left out."""
    if not ablation.helps:
        return ()
    everything, of = ablation.everything.mean.value, ablation.everything.measure
    unit = ", in per cent" if of.share else ""
    table = Table(
        caption=f"Mean {of.name} over chips without each help{unit}",
        columns=(Column("help", numeric=False), *map(Column, ("without", "worth", "chips"))),
        rows=tuple(
            (
                h.help,
                of.number(h.without.mean.value),
                of.difference(everything - h.without.mean.value),
                str(h.without.chips),
            )
            for h in ablation.helps
        ),
    )
    return (Section(key="helps", title="Helps", blocks=(table,)),)


def _total_sections(e: Evaluation, card_limits: Sequence[str]) -> tuple[Section, ...]:
    """Return a section with the full interval of the mean accuracy and its parts."""
    if e.total is None:
        return ()
    total = e.total
    text = (
        f"The mean accuracy over all such chips and images is {total.percent()}. More chips reduce "
        "the error from chips, and more test images the error from images."
    )
    text += (
        " More measurements reduce the error from the card, which comes from the standard errors "
        "of its parameters."
        if total.card_draws
        else " The parameters of the card are taken as exact."
    )
    table = Table(
        caption="Standard error of the mean accuracy, in percentage points",
        columns=(Column("", numeric=False), Column("standard error")),
        rows=(
            *((name, f"{100 * x:.3f}") for name, x in total.parts()),
            ("all", f"{100 * total.stderr:.3f}"),
        ),
    )
    prose = Prose(paragraphs=(text, *card_limits))
    return (Section(key="total", title="How well the mean is known", blocks=(prose, table)),)


def _together_sections(together: Mapping[str, Evaluation]) -> tuple[Section, ...]:
    """Return a section on several chips or images that decide together; none without them."""
    if not together:
        return ()
    text = (
        "The outputs of several chips, or for an image and its mirror image, are averaged. This "
        "takes a multiple of the chips or of the reads, and is not part of the result above."
    )
    table = Table(
        caption="Mean, with its 95 % interval over chips or committees",
        columns=(Column("", numeric=False), *map(Column, ("mean", "low", "high", "number"))),
        rows=tuple(
            (name, *_estimate(x.mean, x.measure), str(x.chips)) for name, x in together.items()
        ),
    )
    blocks = (Prose(paragraphs=(text,)), table)
    return (Section(key="together", title="Several chips or images together", blocks=blocks),)


def _estimate(x: Estimate, of: Measure) -> tuple[str, str, str]:
    return _percents(x) if of.share else (of.number(x.value), of.number(x.low), of.number(x.high))


def _percents(x: Estimate) -> tuple[str, str, str]:
    e = round_estimate(x.value, (x.low, x.high), "1", percent=True)
    return e.value, e.low, e.high


def _key_figures(e: Evaluation) -> KeyFigures:
    of = e.measure
    worst, which = (e.percentile5, "5th") if of.better == "higher" else (e.percentile95, "95th")
    return KeyFigures(
        items=(
            KeyFigure(label="digital", value=of.text(e.digital)),
            KeyFigure(
                label="mean over chips",
                value=of.text(e.mean.value),
                detail=f"± {of.number(e.deviation.value)} between chips",
            ),
            KeyFigure(label=f"{which} percentile", value=of.text(worst.value)),
            KeyFigure(
                label=f"yield at {of.text(e.threshold)}",
                value=f"{100 * e.chip_yield.value:.0f} %",
            ),
        )
    )


def setup_facts(setup: AnalogSetup) -> tuple[tuple[str, str], ...]:
    """Return how a network is mapped onto chips, as (name, value)."""
    from rramfit.mapping.tiles.active_factors import active_factors

    p = setup.peripherals
    origin = {"NoneType": "drawn", "CellMaps": "one fitted chip"}.get(
        type(setup.origin).__name__, "measured conductances"
    )
    coding = f"{p.input_coding.replace('_', '-')}, {p.dac_bits} bits"
    return (
        ("card", setup.card_name),
        ("chips", origin),
        ("tile", f"{setup.tile[0]} × {setup.tile[1]}"),
        ("weights", f"{setup.book.scheme}, {len(setup.book.values)} values"),
        ("inputs", coding),
        ("wires", setup.wires_by if setup.has_wires else "without resistance"),
        ("active factors", ", ".join(sorted(active_factors(setup)))),
    )


def assumption_sections(setup: AnalogSetup) -> tuple[Section, ...]:
    """Return a section with the values assumed where the card has none; empty if none were."""
    if not setup.model.assumptions:
        return ()
    prose = Prose(paragraphs=setup.model.assumptions)
    return (Section(key="assumed", title="Assumptions", blocks=(prose,)),)


def _draw_chips(e: Evaluation, ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    scale = 100 if e.measure.share else 1
    rising = scale * np.sort(np.asarray(e.accuracies))
    ax.plot(np.arange(1, len(rising) + 1), rising, "o", color=SERIES[0], markersize=3)
    for value, style in ((e.mean.value, "-"), (e.digital, "--"), (e.threshold, ":")):
        ax.axhline(scale * value, color=INK, linestyle=style, linewidth=0.9)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("chips")
    ax.set_ylabel(e.measure.name + (" [%]" if e.measure.share else ""))


def _draw_costs(ablation: Ablation, ax: Axes) -> None:
    everything = ablation.everything
    scale = 100 if everything.measure.share else 1
    alone = [f.alone for f in ablation.factors]
    without = [f.without for f in ablation.factors]
    series = (
        ("cost alone", SERIES[0], -0.13, alone, everything.digital, -1),
        ("recovered", SERIES[1], 0.13, without, everything.mean.value, 1),
    )
    for label, color, shift, found, base, sign in series:
        for i, one in enumerate(found):
            mean = one.mean
            if one.chips > 1:  # a single chip has no interval
                ends = [scale * sign * (x - base) for x in (mean.low, mean.high)]
                ax.plot(ends, [i + shift] * 2, color=color, linewidth=1.4)
            point = scale * sign * (mean.value - base)
            name = label if i == 0 else None
            ax.plot([point], [i + shift], "o", color=color, markersize=4, label=name)
    ax.axvline(0, color=INK, linewidth=0.7)
    ax.set_yticks(range(len(ablation.factors)), [f.factor for f in ablation.factors])
    ax.set_ylim(len(ablation.factors) - 0.5, -1.3)  # first factor at the top; room for the legend
    unit = " [percentage points]" if everything.measure.share else ""
    ax.set_xlabel(f"{everything.measure.name}{unit}")
    if ablation.factors:
        ax.legend(loc="upper right", ncols=2, borderaxespad=0.1)
