"""`rramfit ablate`: which non-ideality costs a network what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.network import (
    check_apart,
    network_options,
    norms_option,
    norms_renewed,
    subject,
)
from rramfit_cli.options.types import OUTPUT

__all__ = ["ablate"]


@click.command()
@network_options
@click.option("--chips", type=click.IntRange(min=1), default=10, help="Chips for each case.")
@click.option("--images", type=click.IntRange(min=1), help="Use so many test images; all.")
@norms_option
@click.option("-o", "--report", type=OUTPUT, help="Write an HTML report.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def ablate(
    chips: int,
    images: int | None,
    norms: int | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run MODEL with each factor alone, with all but one, and with all.

    MODEL is mlp, vgg5, resnet8 or module:callable; an mlp without --checkpoint is trained on the
    spot, others need it.
    """
    check_apart(options, report)
    given = subject(options, trained=True)

    from rramfit.mapping.study.ablation import ablate as run
    from rramfit.mapping.study.ablation import factors_at_work
    from rramfit.mapping.study.evaluation import accuracy

    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    cases = 1 + 2 * len(factors_at_work(given.setup))
    with click.progressbar(length=cases, label="cases", file=sys.stderr) as bar:
        found = run(
            given.network,
            given.setup,
            test,
            labels,
            inputs=given.inputs,
            digital=accuracy(given.network, test, labels),
            chips=chips,
            laid=given.laid,
            seed=given.seed,
            programmed=norms_renewed(given, norms),
            on_case=lambda _, __: bar.update(1),
        )
    if report is not None:
        from rramfit.reporting.network import ablation_report

        ablation_report(given.name, given.setup, given.data.name, found, norm_images=norms).save(
            report
        )
    if as_json:
        content = {"network": given.name, "card": given.card, "data": given.data.name}
        print_json({**content, "seed": given.seed, "norm_images": norms, **found.to_json()})
        return
    from rich.table import Table

    table = Table("factor", "alone", "costs", "without it", "gives back", box=None)
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
        f"digital {100 * digital:.2f} %, all together {found.everything.mean.percent()}; "
        f"not at work: {', '.join(found.absent) or 'none'}",
        highlight=False,
    )
