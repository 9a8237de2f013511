"""`rramfit evaluate`: accuracy of a network on chips of a card."""

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
from rramfit_cli.options.types import OUTPUT, FiniteRange

__all__ = ["evaluate"]


@click.command()
@network_options
@click.option("--chips", type=click.IntRange(min=1), default=100, help="Number of chips.")
@click.option("--images", type=click.IntRange(min=1), help="Number of test images. Default: all.")
@click.option(
    "--yield-at",
    type=FiniteRange(0, 1),
    help="Minimum accuracy of a good chip, for the yield. Default: digital accuracy minus 0.02.",
)
@click.option(
    "--card-uncertainty",
    "card_draws",
    type=click.IntRange(min=2),
    metavar="N",
    help="Draw the card's parameters N times within their errors. The chips are divided among the "
    "draws, and each is evaluated twice.",
)
@bn_recalibration_option
@click.option("-o", "--report", type=OUTPUT, help="HTML report to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def evaluate(
    chips: int,
    images: int | None,
    yield_at: float | None,
    card_draws: int | None,
    bn_recalibration: int | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate MODEL on many chips: mean, deviation, 5th percentile and yield of its accuracy.

    The interval of the mean is printed for the chips alone and for all errors: from chips, from
    test images and, with --card-uncertainty, from the errors of the card's parameters.

    MODEL is mlp, vgg5, resnet8 or module:callable. An mlp without --checkpoint is trained first;
    other networks need --checkpoint. Without options, an mlp is evaluated on scikit-learn's digits
    and 100 reference chips.
    """
    check_output_paths(options, report)
    _check_draws(card_draws, chips, options)
    given = subject(options, trained=True)

    from rramfit.card.uncertainty.draw import draw_limits
    from rramfit.mapping import analog_matrices, convert_to_analog
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.evaluation import evaluate as run
    from rramfit.units import counted

    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    recalibrate = bn_recalibrator(given, bn_recalibration)
    digital = accuracy(given.network, test, labels)
    analog = convert_to_analog(
        given.network, given.setup, inputs=given.inputs, mapping=given.mapping, seed=given.seed
    )
    with click.progressbar(length=chips, label="evaluating chips", file=sys.stderr) as bar:
        found = run(
            analog,
            test,
            labels,
            digital=digital,
            chips=chips,
            threshold=yield_at,
            seed=given.seed,
            after_programming=recalibrate,
            on_chip=lambda _, __: bar.update(1),
            card=given.model_card,
            card_draws=card_draws or 0,
        )
    limits = draw_limits(given.model_card) if card_draws else []
    certificates = [
        m.certificate() for m in analog_matrices(analog) if m.nominal and m.nominal.estimate
    ]
    worst = max(certificates, key=lambda c: c.p99, default=None)
    if report is not None:
        from rramfit.reporting.network import evaluation_report

        evaluation_report(
            given.name,
            given.setup,
            given.data.name,
            found,
            bn_recalibration_images=bn_recalibration,
            card_limits=limits,
        ).save(report)
    if as_json:
        subject_of = {"network": given.name, "card": given.card, "data": given.data.name}
        factors = {
            "factors": sorted(given.setup.factors),
            "seed": given.seed,
            "bn_recalibration_images": bn_recalibration,
        }
        assumed = {"assumptions": [*given.assumptions, *limits]}
        wires = {"estimate_p99_percent": None if worst is None else worst.p99}
        print_json({**subject_of, **factors, **found.to_json(), **wires, **assumed})
        return
    out = console()
    out.print(
        f"[bold]{given.name}[/] on {given.card}, {given.data.name}, {found.images} images, "
        f"{counted(found.chips, 'chip')}",
        highlight=False,
    )
    for label, text in (
        ("digital", f"{100 * found.digital:.2f} %"),
        ("mean", found.mean.percent()),
        ("deviation", found.deviation.percent()),
        ("5th percentile", found.percentile5.percent()),
        (f"yield at {100 * found.threshold:.2f} %", found.chip_yield.percent()),
    ):
        out.print(f"  {label:<18}{text}", highlight=False)
    if found.total is not None:
        parts = ", ".join(f"{name} {100 * x:.2f}" for name, x in found.total.parts())
        out.print(f"  {'mean, all errors':<18}{found.total.percent()}", highlight=False)
        out.print(f"  {'standard errors':<18}{parts} percentage points", highlight=False)
    for sentence in limits:
        out.print(f"  {sentence}", highlight=False)
    if worst is not None:
        out.print(f"  wires: {worst.summary()}", highlight=False)


def _check_draws(card_draws: int | None, chips: int, options: dict[str, Any]) -> None:
    """Check that the card can be drawn.

    Raises
    ------
    click.UsageError
        If there are fewer than two chips for each draw, or the chips are measured ones.
    """
    if card_draws is None:
        return
    if chips < 2 * card_draws:
        msg = f"--card-uncertainty {card_draws} needs --chips {2 * card_draws} or more: two a draw"
        raise click.UsageError(msg)
    for name in ("cells", "replay"):
        if options[name]:
            msg = f"--card-uncertainty draws chips from the card; remove --{name}"
            raise click.UsageError(msg)
