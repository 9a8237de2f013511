"""Reports of networks on chips: a mapping, an evaluation over chips, an ablation.

Nothing is computed here: the numbers come from `rramfit.mapping`; each figure has a table with its
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rramfit.provenance import package_version
from rramfit.reporting.page.document import (
    Column,
    Facts,
    KeyFigure,
    KeyFigures,
    Prose,
    Report,
    Section,
    Table,
    figure,
)
from rramfit.reporting.page.theme import INK, SERIES
from rramfit.reporting.page.wording import counted, number, with_unit
from rramfit.units import round_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.mapping.study.ablation import Ablation
    from rramfit.mapping.study.costs import MappingPlan
    from rramfit.mapping.study.evaluation import Estimate, Evaluation
    from rramfit.mapping.tiles.setup import AnalogSetup

__all__ = [
    "ablation_report",
    "assumption_sections",
    "evaluation_report",
    "mapping_report",
    "setup_facts",
]


def mapping_report(
    network: str, plan: MappingPlan, *, placement_gain: object | None = None
) -> Report:
    """Report how a network maps onto tiles."""
    energy, latency = plan.total("energy"), plan.total("latency")
    items = [
        KeyFigure(label="tiles", value=f"{plan.total('tiles'):.0f}"),
        KeyFigure(label="cells used", value=f"{100 * plan.utilisation:.1f} %"),
        KeyFigure(label="energy per inference", value=with_unit(energy, "J"), detail="estimate"),
        KeyFigure(label="latency per inference", value=with_unit(latency, "s"), detail="estimate"),
    ]
    if placement_gain is not None:
        gain = f"{100 * float(str(placement_gain)):.1f} %"
        items.append(
            KeyFigure(label="placement removes", value=gain, detail="of the expected squared error")
        )
    rows = tuple(
        (
            m.name,
            m.kind,
            f"{m.outputs} × {m.inputs}",
            f"{m.row_blocks} × {m.column_blocks}",
            str(m.tiles),
            f"{100 * m.utilisation:.1f} %",
            str(m.vectors),
            str(m.passes),
            str(m.mvms),
            str(m.conversions),
            number(m.energy * 1e9),
            number(m.latency * 1e6),
        )
        for m in plan.matrices
    )
    numbers = (
        *("tiles", "cells used", "vectors", "passes", "MVMs", "conversions"),
        *("energy [nJ]", "latency [µs]"),
    )
    names = tuple(Column(n, numeric=False) for n in ("matrix", "kind", "weights", "blocks"))
    table = Table(
        caption="Matrices, per inference",
        columns=(*names, *(Column(n) for n in numbers)),
        rows=rows,
    )
    c = plan.constants
    constants = (
        ("read pulse", with_unit(c.read_time, "s")),
        ("A/D conversion time", with_unit(c.adc_time, "s")),
        ("columns per converter", str(c.adc_sharing)),
        ("energy per 8-bit conversion", with_unit(c.adc_energy, "J")),
        ("energy per driven row", with_unit(c.dac_energy, "J")),
    )
    slices = counted(plan.slices, "slice")
    limits = (
        "Energy and latency compare mappings. They exclude buffers, digital sums and activations."
    )
    return Report(
        title=f"{network} on tiles",
        subtitle="Mapping of a network onto resistive-memory arrays",
        facts=(
            ("card", plan.card),
            ("tile", f"{plan.tile[0]} × {plan.tile[1]}"),
            ("weights", f"{plan.scheme}, {slices}, {plan.weight_values} values"),
        ),
        lead=(KeyFigures(items=tuple(items)),),
        sections=(
            Section(key="matrices", title="Matrices", blocks=(table,)),
            Section(
                key="constants",
                title="Constants",
                blocks=(Prose(paragraphs=(limits,)), Facts(items=constants)),
            ),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def evaluation_report(
    network: str,
    setup: AnalogSetup,
    data: str,
    evaluation: Evaluation,
    *,
    bn_recalibration_images: int | None = None,
    card_limits: Sequence[str] = (),
) -> Report:
    """Report the accuracy of a network over chips.

    `bn_recalibration_images` is the number of images of BatchNorm recalibration; None without it.
    `card_limits` are sentences on what the draws of the card leave out.
    """
    e = evaluation
    chart = figure(
        partial(_draw_chips, e),
        key="chips",
        title="Accuracy of each chip",
        caption="Chips in the order of accuracy, with the mean (solid line), the digital network "
        "(dashed) and the yield threshold (dotted).",
        width="full",
    )
    rows = [
        ("mean", *_percents(e.mean)),
        ("standard deviation", *_percents(e.deviation)),
        ("5th percentile", *_percents(e.percentile5)),
        ("95th percentile", *_percents(e.percentile95)),
        (f"yield at {100 * e.threshold:.2f} %", *_percents(e.chip_yield)),
    ]
    table = Table(
        caption="Over chips, in per cent, with 95 % intervals",
        columns=(Column("", numeric=False), Column("value"), Column("low"), Column("high")),
        rows=tuple(rows),
    )
    every = Table(
        caption="Accuracy of each chip, in per cent",
        columns=(Column("chip"), Column("accuracy")),
        rows=tuple((str(i), f"{100 * a:.2f}") for i, a in enumerate(e.accuracies)),
        folded=True,
    )
    return Report(
        title=f"{network} on chips",
        subtitle=f"Accuracy on {e.chips} chips of {setup.card_name}",
        facts=(
            ("data", f"{data}, {e.images} images"),
            *setup_facts(setup),
            *_bn_recalibration_facts(bn_recalibration_images),
        ),
        lead=(_key_figures(e),),
        sections=(
            Section(key="accuracy", title="Accuracy", blocks=(chart, table, every)),
            *_total_sections(e, card_limits),
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
    bn_recalibration_images: int | None = None,
) -> Report:
    """Report the accuracy that each non-ideality costs.

    `bn_recalibration_images` is the number of images of BatchNorm recalibration; None without it.
    """
    everything = ablation.everything
    chart = figure(
        partial(_draw_costs, ablation),
        key="costs",
        title="Cost of each factor",
        caption="Percentage points of accuracy lost with the factor alone, and recovered when only "
        "this factor is switched off. Lines are 95 % intervals of the mean over chips.",
        width="full",
        size=(9.1, 0.9 + 0.34 * max(len(ablation.factors), 1)),
        margins=(1.2, 0.5, 0.12, 0.12),
    )
    rows = tuple(
        (
            f.factor,
            f"{100 * f.alone.mean.value:.2f}",
            f"{100 * (everything.digital - f.alone.mean.value):+.2f}",
            f"{100 * f.without.mean.value:.2f}",
            f"{100 * (f.without.mean.value - everything.mean.value):+.2f}",
            str(f.alone.chips),
        )
        for f in ablation.factors
    )
    table = Table(
        caption="Mean accuracy over chips, in per cent",
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
            *_bn_recalibration_facts(bn_recalibration_images),
        ),
        lead=(_key_figures(everything),),
        sections=(
            Section(key="factors", title="Factors", blocks=(chart, table, note)),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


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


def _percents(x: Estimate) -> tuple[str, str, str]:
    e = round_estimate(x.value, (x.low, x.high), "1", percent=True)
    return e.value, e.low, e.high


def _key_figures(e: Evaluation) -> KeyFigures:
    return KeyFigures(
        items=(
            KeyFigure(label="digital", value=f"{100 * e.digital:.2f} %"),
            KeyFigure(
                label="mean over chips",
                value=f"{100 * e.mean.value:.2f} %",
                detail=f"± {100 * e.deviation.value:.2f} between chips",
            ),
            KeyFigure(label="5th percentile", value=f"{100 * e.percentile5.value:.2f} %"),
            KeyFigure(
                label=f"yield at {100 * e.threshold:.2f} %",
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


def _bn_recalibration_facts(images: int | None) -> tuple[tuple[str, str], ...]:
    if images is None:
        return ()
    return (("BatchNorm recalibration", f"on each chip, with {images} images"),)


def assumption_sections(setup: AnalogSetup) -> tuple[Section, ...]:
    """Return a section with the values assumed where the card has none; empty if none were."""
    if not setup.model.assumptions:
        return ()
    prose = Prose(paragraphs=setup.model.assumptions)
    return (Section(key="assumed", title="Assumptions", blocks=(prose,)),)


def _draw_chips(e: Evaluation, ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    rising = 100 * np.sort(np.asarray(e.accuracies))
    ax.plot(np.arange(1, len(rising) + 1), rising, "o", color=SERIES[0], markersize=3)
    for value, style in ((e.mean.value, "-"), (e.digital, "--"), (e.threshold, ":")):
        ax.axhline(100 * value, color=INK, linestyle=style, linewidth=0.9)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("chips")
    ax.set_ylabel("accuracy [%]")


def _draw_costs(ablation: Ablation, ax: Axes) -> None:
    everything = ablation.everything
    alone = [f.alone.mean for f in ablation.factors]
    without = [f.without.mean for f in ablation.factors]
    series = (
        ("cost alone", SERIES[0], -0.13, alone, everything.digital, -1),
        ("recovered", SERIES[1], 0.13, without, everything.mean.value, 1),
    )
    for label, color, shift, means, base, sign in series:
        for i, mean in enumerate(means):
            ends = [100 * sign * (x - base) for x in (mean.low, mean.high)]
            if mean.high - mean.low < 1:  # a single chip has no interval
                ax.plot(ends, [i + shift] * 2, color=color, linewidth=1.4)
            point = 100 * sign * (mean.value - base)
            name = label if i == 0 else None
            ax.plot([point], [i + shift], "o", color=color, markersize=4, label=name)
    ax.axvline(0, color=INK, linewidth=0.7)
    ax.set_yticks(range(len(ablation.factors)), [f.factor for f in ablation.factors])
    ax.set_ylim(len(ablation.factors) - 0.5, -1.3)  # first factor at the top; room for the legend
    ax.set_xlabel("accuracy [percentage points]")
    if ablation.factors:
        ax.legend(loc="upper right", ncols=2, borderaxespad=0.1)
