"""Reports of networks on chips: a mapping, an evaluation over chips, an ablation.

Nothing is computed here: every number is one of `rramfit.mapping`'s, and stands in a table beside
its picture.
"""

from __future__ import annotations

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
from rramfit.units import format_quantity

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
    """Report how a network lies on tiles."""
    energy, latency = plan.total("energy"), plan.total("latency")
    items = [
        KeyFigure(label="tiles", value=f"{plan.total('tiles'):.0f}"),
        KeyFigure(label="cells used", value=f"{100 * plan.utilisation:.1f} %"),
        KeyFigure(label="energy an inference", value=f"{energy * 1e9:.3g} nJ", detail="estimate"),
        KeyFigure(
            label="time an inference", value=format_quantity(latency, "s"), detail="estimate"
        ),
    ]
    if placement_gain is not None:
        gain = f"{100 * float(str(placement_gain)):.1f} %"
        items.append(
            KeyFigure(
                label="placement takes away", value=gain, detail="of the expected squared error"
            )
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
            f"{m.energy * 1e9:.3g}",
            f"{m.latency * 1e6:.3g}",
        )
        for m in plan.matrices
    )
    numbers = ("tiles", "used", "vectors", "passes", "MVMs", "conversions", "nJ", "us")
    names = tuple(Column(n, numeric=False) for n in ("matrix", "kind", "weights", "blocks"))
    table = Table(
        caption="Matrices, for one inference",
        columns=(*names, *(Column(n) for n in numbers)),
        rows=rows,
    )
    c = plan.constants
    constants = (
        ("pulse on the rows", format_quantity(c.read_time, "s")),
        ("one conversion", format_quantity(c.adc_time, "s")),
        ("columns a converter", str(c.adc_sharing)),
        ("energy of one conversion of 8 bits", f"{c.adc_energy * 1e12:g} pJ"),
        ("energy of one row driven", f"{c.dac_energy * 1e12:g} pJ"),
    )
    said = "Energy and time tell mappings apart; they leave out buffers, sums and activations."
    return Report(
        title=f"{network} on tiles",
        subtitle="How a network lies on resistive-memory arrays",
        facts=(
            ("card", plan.card),
            ("tile", f"{plan.tile[0]} × {plan.tile[1]}"),
            ("weights on", f"{plan.scheme}, {plan.slices} slices, {plan.weight_values} values"),
        ),
        lead=(KeyFigures(items=tuple(items)),),
        sections=(
            Section(key="matrices", title="Matrices", blocks=(table,)),
            Section(
                key="constants",
                title="Constants",
                blocks=(Prose(paragraphs=(said,)), Facts(items=constants)),
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
    norm_images: int | None = None,
) -> Report:
    """Report a network's accuracy over chips; `norm_images` as for `rramfit evaluate --norms`."""
    e = evaluation
    picture = figure(
        partial(_draw_chips, e),
        key="chips",
        title="Accuracy chip by chip",
        caption="Chips in rising order, with the mean (line), the accuracy of the digital network "
        "(dashed) and that of a good chip (dotted)",
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
            *_norm_facts(norm_images),
        ),
        lead=(_key_figures(e),),
        sections=(
            Section(key="accuracy", title="Accuracy", blocks=(picture, table, every)),
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
    norm_images: int | None = None,
) -> Report:
    """Report which factor costs what; `norm_images` as for `rramfit ablate --norms`."""
    whole = ablation.everything
    picture = figure(
        partial(_draw_costs, ablation),
        key="costs",
        title="What each factor costs",
        caption="Points of accuracy lost with a factor alone, and given back when it alone is "
        "switched off; lines are 95 % intervals of the mean over chips",
        width="full",
        size=(9.1, 0.9 + 0.34 * max(len(ablation.factors), 1)),
        margins=(1.2, 0.5, 0.12, 0.12),
    )
    rows = tuple(
        (
            f.factor,
            f"{100 * f.alone.mean.value:.2f}",
            f"{100 * (whole.digital - f.alone.mean.value):+.2f}",
            f"{100 * f.without.mean.value:.2f}",
            f"{100 * (f.without.mean.value - whole.mean.value):+.2f}",
            str(f.alone.chips),
        )
        for f in ablation.factors
    )
    table = Table(
        caption="Mean accuracy over chips, in per cent",
        columns=(
            Column("factor", numeric=False),
            Column("alone"),
            Column("costs"),
            Column("all but it"),
            Column("gives back"),
            Column("chips"),
        ),
        rows=rows,
    )
    absent = ", ".join(ablation.absent) or "none"
    note = Prose(paragraphs=(f"Not at work: {absent}.",))
    return Report(
        title=f"{network}: which factor costs what",
        subtitle=f"On chips of {setup.card_name}",
        facts=(
            ("data", f"{data}, {whole.images} images"),
            *setup_facts(setup),
            *_norm_facts(norm_images),
        ),
        lead=(_key_figures(whole),),
        sections=(
            Section(key="factors", title="Factors", blocks=(picture, table, note)),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def _percents(x: Estimate) -> tuple[str, str, str]:
    return f"{100 * x.value:.2f}", f"{100 * x.low:.2f}", f"{100 * x.high:.2f}"


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
    """Say how a network is put onto chips."""
    p = setup.peripherals
    origin = {"NoneType": "drawn", "CellMaps": "one fitted chip"}.get(
        type(setup.origin).__name__, "measured conductances"
    )
    coding = f"{p.input_coding.replace('_', '-')}, {p.dac_bits} bits"
    return (
        ("card", setup.card_name),
        ("chips", origin),
        ("tile", f"{setup.tile[0]} × {setup.tile[1]}"),
        ("weights on", f"{setup.book.scheme}, {len(setup.book.values)} values"),
        ("inputs", coding),
        ("wires", setup.wires_by if setup.has_wires else "without resistance"),
        ("switched on", ", ".join(sorted(setup.factors))),
    )


def _norm_facts(images: int | None) -> tuple[tuple[str, str], ...]:
    """Say whether batch norms are estimated again on each chip."""
    return () if images is None else (("batch norms", f"on each chip, on {images} images"),)


def assumption_sections(setup: AnalogSetup) -> tuple[Section, ...]:
    """List what was taken where the card says nothing; no section where it says all."""
    if not setup.model.assumptions:
        return ()
    prose = Prose(paragraphs=setup.model.assumptions)
    return (Section(key="assumed", title="What the card did not say", blocks=(prose,)),)


def _draw_chips(e: Evaluation, ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    rising = 100 * np.sort(np.asarray(e.accuracies))
    ax.plot(np.arange(1, len(rising) + 1), rising, "o", color=SERIES[0], markersize=3)
    for value, style in ((e.mean.value, "-"), (e.digital, "--"), (e.threshold, ":")):
        ax.axhline(100 * value, color=INK, linestyle=style, linewidth=0.9)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("chips")
    ax.set_ylabel("accuracy (%)")


def _draw_costs(ablation: Ablation, ax: Axes) -> None:
    whole = ablation.everything
    alone = [f.alone.mean for f in ablation.factors]
    without = [f.without.mean for f in ablation.factors]
    series = (
        ("cost alone", SERIES[0], -0.13, alone, whole.digital, -1),
        ("given back", SERIES[1], 0.13, without, whole.mean.value, 1),
    )
    for label, color, shift, means, base, sign in series:
        for i, mean in enumerate(means):
            ends = [100 * sign * (x - base) for x in (mean.low, mean.high)]
            if mean.high - mean.low < 1:  # one chip alone has no interval
                ax.plot(ends, [i + shift] * 2, color=color, linewidth=1.4)
            point = 100 * sign * (mean.value - base)
            name = label if i == 0 else None
            ax.plot([point], [i + shift], "o", color=color, markersize=4, label=name)
    ax.axvline(0, color=INK, linewidth=0.7)
    ax.set_yticks(range(len(ablation.factors)), [f.factor for f in ablation.factors])
    ax.set_ylim(len(ablation.factors) - 0.5, -1.3)  # downwards, and room for the legend
    ax.set_xlabel("points of accuracy")
    if ablation.factors:
        ax.legend(loc="upper right", ncols=2, borderaxespad=0.1)
