"""`rramfit map`: a network on tiles, counted."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.network import check_apart, network_options, subject
from rramfit_cli.options.types import OUTPUT

__all__ = ["map"]


@click.command()
@network_options
@click.option("-o", "--plan", type=OUTPUT, help="Save the plan as JSON.")
@click.option("--report", type=OUTPUT, help="Write an HTML report.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def map(  # noqa: A001  # the command's name
    plan: Path | None, report: Path | None, as_json: bool, **options: Any
) -> None:
    """Say how MODEL lies on tiles: how many, how full, what an inference takes.

    MODEL is mlp, vgg5, resnet8 or module:callable. Energy and latency follow from constants that
    are printed with them. With --place, also what placing around faults gains.
    """
    from rramfit.card import canonical_json
    from rramfit.mapping import analog_matrices, convert_to_analog
    from rramfit.mapping.study.costs import mapping_plan
    from rramfit.provenance import whole_file
    from rramfit.units import format_quantity

    check_apart(options, plan, report)
    given = subject(options, trained=False)
    analog = convert_to_analog(given.network, given.setup, inputs=given.inputs, laid=given.laid)
    matrices = analog_matrices(analog)
    counted = mapping_plan(matrices)
    content = {"network": given.name, **counted.to_json()}
    placed = [m.placed for m in matrices if m.placed is not None]
    before, after = sum(p.before for p in placed), sum(p.after for p in placed)
    if before > 0:
        content["placement_gain"] = 1 - after / before
    if plan is not None:
        with whole_file(plan) as beside:
            beside.write_text(canonical_json(content), encoding="utf-8")
    if report is not None:
        from rramfit.reporting.network import mapping_report

        mapping_report(given.name, counted, placement_gain=content.get("placement_gain")).save(
            report
        )
    if as_json:
        print_json(content)
        return
    from rich.table import Table

    out = console()
    table = Table("matrix", "weights", "tiles", "used", "vectors", "MVMs", "conversions", box=None)
    for m in counted.matrices:
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
    constants = counted.constants
    out.print(
        f"{content['tiles']} tiles of {counted.tile[0]} × {counted.tile[1]}, "
        f"{100 * counted.utilisation:.1f} % used; {counted.weight_values} weight values; "
        f"about {format_quantity(counted.total('energy') * 1e9, '1')} nJ and "
        f"{format_quantity(counted.total('latency'), 's')} an inference, from "
        + ", ".join(f"{f.name} {getattr(constants, f.name):g}" for f in fields(constants)),
        highlight=False,
    )
    if "placement_gain" in content:
        gain = 100 * float(str(content["placement_gain"]))
        out.print(f"placing around faults takes away {gain:.1f} % of the expected squared error")
