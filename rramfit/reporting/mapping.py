"""Report of a mapping: tiles, conversions, energy and latency of a network.

Nothing is computed here: the numbers come from `rramfit.mapping.study.costs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
)
from rramfit.reporting.page.wording import counted, number, with_unit

if TYPE_CHECKING:
    from rramfit.mapping.study.costs import MappingPlan

__all__ = ["mapping_report"]


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
