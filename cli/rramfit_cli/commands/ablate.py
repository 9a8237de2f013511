"""`rramfit ablate`: accuracy cost of each non-ideality."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.network import (
    bn_recalibration_option,
    bn_recalibrator,
    check_output_paths,
    network_options,
    subject,
)
from rramfit_cli.options.types import OUTPUT

__all__ = ["ablate"]


@click.command()
@network_options
@click.option("--chips", type=click.IntRange(min=1), default=10, help="Number of chips per case.")
@click.option("--images", type=click.IntRange(min=1), help="Number of test images. Default: all.")
@bn_recalibration_option
@click.option("-o", "--report", type=OUTPUT, help="HTML report to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def ablate(
    chips: int,
    images: int | None,
    bn_recalibration: int | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate MODEL with each non-ideality alone, with all but one, and with all.

    MODEL is mlp, vgg5, resnet8 or module:callable. An mlp without --checkpoint is trained first;
    other networks need --checkpoint.
    """
    check_output_paths(options, report)
    given = subject(options, trained=True)

    from rramfit.mapping.study.ablation import ablate as run
    from rramfit.mapping.study.ablation import active_factors
    from rramfit.mapping.study.evaluation import accuracy

    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    cases = 1 + 2 * len(active_factors(given.setup))
    with click.progressbar(length=cases, label="evaluating cases", file=sys.stderr) as bar:
        found = run(
            given.network,
            given.setup,
            test,
            labels,
            inputs=given.inputs,
            digital=accuracy(given.network, test, labels),
            chips=chips,
            mapping=given.mapping,
            seed=given.seed,
            after_programming=bn_recalibrator(given, bn_recalibration),
            on_case=lambda _, __: bar.update(1),
        )
    if report is not None:
        from rramfit.reporting.network import ablation_report

        ablation_report(
            given.name,
            given.setup,
            given.data.name,
            found,
            bn_recalibration_images=bn_recalibration,
        ).save(report)
    if as_json:
        content = {"network": given.name, "card": given.card, "data": given.data.name}
        print_json(
            {
                **content,
                "seed": given.seed,
                "bn_recalibration_images": bn_recalibration,
                **found.to_json(),
            }
        )
        return
    from rich.table import Table

    table = Table("factor", "alone", "cost", "all others", "recovered", box=None)
    digital, everything = found.everything.digital, found.everything.mean.value
    for f in found.factors:
        table.add_row(
            f.factor,
            f"{100 * f.alone.mean.value:.2f} %",
            f"{100 * (digital - f.alone.mean.value):+.2f}",
            f"{100 * f.without.mean.value:.2f} %",
            f"{100 * (f.without.mean.value - everything):+.2f}",
        )
    out = console()
    out.print(table)
    out.print(
        f"digital: {100 * digital:.2f} %; all factors: {found.everything.mean.percent()}; "
        f"inactive factors: {', '.join(found.absent) or 'none'}",
        highlight=False,
    )
