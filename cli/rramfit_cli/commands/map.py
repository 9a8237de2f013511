"""`rramfit map`: tiles, conversions, energy and latency of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.network import (
    check_output_paths,
    name_digital_parts,
    network_options,
    print_card_warnings,
    subject,
)
from rramfit_cli.options.types import OUTPUT_REPORT, output_of
from rramfit_cli.overwriting import force_option

__all__ = ["map"]


@click.command()
@network_options
@click.option("-o", "--plan", type=output_of("JSON"), help="JSON file to write, with the mapping.")
@click.option("--report", type=OUTPUT_REPORT, help="HTML report to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@force_option
def map(  # noqa: A001  # the command's name
    plan: Path | None, report: Path | None, as_json: bool, **options: Any
) -> None:
    """Show how MODEL maps onto tiles, with its conversions, energy and latency.

    MODEL is mlp, vgg5, vgg5-wide, vgg7, resnet8 or module:callable. Energy and latency are
    estimated from the constants in the output. With --place, the gain of the placement around
    faults is shown.
    """
    from rramfit.card import canonical_json
    from rramfit.mapping import analog_matrices
    from rramfit.mapping.study.costs import mapping_plan
    from rramfit.provenance import atomic_file
    from rramfit.units import counted, format_quantity

    check_output_paths(options, plan, report)
    given = subject(options, trained=False)
    print_card_warnings(given)
    analog = given.on_chips()
    matrices = analog_matrices(analog)
    costs = mapping_plan(matrices)
    content = {"network": given.name, **costs.to_json(), "digital": name_digital_parts(analog)}
    placed = [m.placed for m in matrices if m.placed is not None]
    before, after = sum(p.before for p in placed), sum(p.after for p in placed)
    if before > 0:
        content["placement_gain"] = 1 - after / before
    if plan is not None:
        with atomic_file(plan) as temporary:
            temporary.write_text(canonical_json(content), encoding="utf-8")
    if report is not None:
        from rramfit.reporting.mapping import mapping_report

        mapping_report(given.name, costs, placement_gain=content.get("placement_gain")).save(report)
    if as_json:
        print_json(content)
        return
    from rich.table import Table

    out = console()
    table = Table("matrix", "weights", "tiles", "used", "vectors", "MVMs", "conversions", box=None)
    for m in costs.matrices:
        table.add_row(
            m.name,
            f"{m.outputs} × {m.inputs}",
            str(m.tiles),
            f"{100 * m.utilisation:.0f} %",
            str(m.vectors),
            str(m.mvms),
            str(m.conversions),
        )
    out.print(table)
    c = costs.constants
    tiles = int(costs.total("tiles"))
    out.print(
        f"{counted(tiles, 'tile')} of {costs.tile[0]} × {costs.tile[1]}, "
        f"{100 * costs.utilisation:.1f} % of cells used; {costs.weight_values} weight values",
        highlight=False,
    )
    out.print(
        f"per inference: about {format_quantity(_rounded(costs.total('energy')), 'J')} and "
        f"{format_quantity(_rounded(costs.total('latency')), 's')}, assuming "
        f"{format_quantity(c.read_time, 's')} per read pulse, "
        f"{format_quantity(c.adc_time, 's')} and {format_quantity(c.adc_energy, 'J')} per 8-bit "
        f"conversion, {c.adc_sharing} columns per converter, "
        f"{format_quantity(c.dac_energy, 'J')} per driven row",
        highlight=False,
    )
    if "placement_gain" in content:
        gain = 100 * float(str(content["placement_gain"]))
        out.print(f"placement around faults removes {gain:.1f} % of the expected squared error")


def _rounded(estimate: float) -> float:
    """Round a rough estimate to two significant digits."""
    return float(f"{estimate:.2g}")
