"""`rramfit evaluate`: accuracy of a network on chips of a card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.console import console, print_json
from rramfit_cli.options.data import metric_option
from rramfit_cli.options.network import (
    bn_recalibration_option,
    check_output_paths,
    name_digital_parts,
    network_options,
    print_card_warnings,
    subject,
)
from rramfit_cli.options.study import (
    MergeableCommand,
    check_study_options,
    merge_command,
    study_options,
)
from rramfit_cli.options.types import OUTPUT_REPORT, FiniteRange
from rramfit_cli.options.workers import given_shard
from rramfit_cli.overwriting import force_option
from rramfit_cli.page_origin import study_origin

if TYPE_CHECKING:
    from rramfit.mapping.study.evaluation import Evaluation
    from rramfit.mapping.study.study_record import StudyRecord
    from rramfit.workers import Shard

__all__ = ["evaluate"]

_CASE = "all"
_MIRRORED = "mirrored images"


@click.command(cls=MergeableCommand)
@network_options
@click.option("--chips", type=click.IntRange(min=1), default=100, help="Number of chips.")
@click.option("--images", type=click.IntRange(min=1), help="Number of test images. Default: all.")
@click.option(
    "--yield-at",
    type=FiniteRange(),
    help="Minimum accuracy of a good chip, for the yield. Default: digital accuracy minus 0.02; "
    "5 % worse than digital for a metric that is not a share.",
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
@metric_option
@click.option(
    "--committee",
    "committees",
    multiple=True,
    type=click.IntRange(2, 8),
    metavar="N",
    help="Also evaluate committees of N chips, which decide together; can be repeated.",
)
@click.option(
    "--mirror", is_flag=True, help="Also let each chip decide on an image and its mirror image."
)
@study_options
@click.option("-o", "--report", type=OUTPUT_REPORT, help="HTML report to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@force_option
def evaluate(
    chips: int,
    images: int | None,
    yield_at: float | None,
    card_draws: int | None,
    bn_recalibration: int | None,
    committees: tuple[int, ...],
    mirror: bool,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    first: int | None,
    save: Path | None,
    resume: bool,
    until: float | None,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate MODEL on many chips: mean, deviation, 5th percentile and yield of its accuracy.

    The interval of the mean is printed for the chips alone and for all errors: from chips, from
    test images and, with --card-uncertainty, from the errors of the card's parameters.

    MODEL is mlp, vgg5, vgg5-wide, vgg7, resnet8 or module:callable. An mlp without --checkpoint is
    trained first; other networks need --checkpoint. Without options, an mlp is evaluated on
    scikit-learn's digits and 100 reference chips. Committees and mirrored images are reported
    apart.

    Chips are indices under the seed: the results of parts, made with --shard or --first, are joined
    by `rramfit evaluate merge FILE…`, where FILEs are their --json outputs or --save files.
    """
    check_output_paths(options, report, save)
    _check_draws(card_draws, chips, options)
    _check_together(card_draws, chips + (first or 0), committees, mirror=mirror)
    shard = given_shard(shard, 1 if first is not None or until is not None else chips, "chips")
    check_study_options(
        shard=shard, first=first, until=until, save=save, resume=resume, card_draws=card_draws
    )
    total = chips + (first or 0)
    wanted = shard.block(chips) if shard else range(first or 0, total)
    if not wanted:
        msg = f"--shard {shard} of {chips} chips has no chip; use at most {chips} shards"
        raise click.UsageError(msg)
    given = subject(options, trained=True)
    print_card_warnings(given)
    if yield_at is not None and given.metric.measure.share and not 0 <= yield_at <= 1:
        msg = f"--yield-at {yield_at:g} is not a share; expected 0 to 1"
        raise click.UsageError(msg)

    if mirror and len(given.data.shape) != 3:
        msg = f"--mirror needs images; the samples of {given.data.name} are not"
        raise click.UsageError(msg)

    from rramfit.card.uncertainty.draw import draw_limits
    from rramfit.mapping import analog_matrices, program
    from rramfit.mapping.study.ablation import AblationCase
    from rramfit.mapping.study.conditions import conditions_of
    from rramfit.mapping.study.evaluation import accuracy, check_study
    from rramfit.mapping.study.study_record import CaseRecord, StudyRecord
    from rramfit.mapping.tiles.active_factors import active_factors
    from rramfit.training.loop.bn_recalibration import batch_norm_finding, batch_norm_layers
    from rramfit_cli.study_runs import mapped, resumed, run_study_here, study_job

    job = study_job(
        given,
        options,
        images=images,
        bn_recalibration=bn_recalibration,
        card_draws=card_draws or 0,
        chips=total,
        jobs=jobs,
    )
    case = AblationCase(name=_CASE, factors=tuple(given.setup.factors), chips=total)
    cases = [
        case,
        *(
            dataclasses.replace(case, name=_committee(n), chips=total // n, committee=n)
            for n in sorted(set(committees))
        ),
        *([dataclasses.replace(case, name=_MIRRORED, mirror=True)] if mirror else []),
    ]
    analog = mapped(job, case, given)
    digital_layers = name_digital_parts(analog)
    check_study(analog, given.model_card, chips=total, draws=card_draws or 0, metric=given.metric)
    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    digital = accuracy(given.network, test, labels, metric=given.metric)
    limits = draw_limits(given.model_card) if card_draws else []
    estimated = [m for m in analog_matrices(analog) if m.nominal and m.nominal.estimate]
    if estimated:
        program(analog, seed=given.seed)  # the estimate is checked on chip 0
    certificates = [m.certificate() for m in estimated]
    worst = max(certificates, key=lambda c: c.p99, default=None)
    about = {
        "network": given.name,
        "card": given.card,
        "data": given.data.name,
        "factors": sorted(active_factors(given.setup)),
        "seed": given.seed,
        "bn_recalibration_images": bn_recalibration,
    }
    finding = ""
    if bn_recalibration is None and batch_norm_layers(given.network):
        program(analog, seed=given.seed)
        finding = batch_norm_finding(analog.eval(), given.inputs)
        if finding:
            click.echo(f"warning: {finding}", err=True)
    conditions = conditions_of(
        analog_matrices(analog),
        given.model_card,
        data=given.data.name,
        images=len(labels),
        seed=given.seed,
        bn_recalibration=bn_recalibration,
        metric=given.metric.measure.name,
        digital=" ".join(digital_layers) or "none",
        warnings=[finding] if finding else [],
    )
    notes = {
        "conditions": conditions.to_json(),
        "estimate_p99_percent": None if worst is None else worst.p99,
        "assumptions": [*given.assumptions, *limits, *digital_layers],
    }
    lines = [*limits, *([] if worst is None else [f"wires: {worst.summary()}"])]
    record = StudyRecord(
        kind="evaluate",
        key=job.key,
        about={"head": about, "notes": notes, "lines": lines},
        digital=digital,
        threshold=given.metric.measure.threshold(digital) if yield_at is None else yield_at,
        card_draws=card_draws or 0,
        cases={one.name: CaseRecord(one.chips) for one in cases},
        measure=given.metric.measure,
    )
    record = resumed(record, save, resume=resume)

    def chips_of(one: AblationCase) -> range:
        if one.committee == 1:
            return wanted
        return shard.block(one.chips) if shard else range((first or 0) // one.committee, one.chips)

    run_study_here(
        job,
        record,
        cases,
        chips_of,
        given=given,
        jobs=jobs,
        scheduler=scheduler,
        until=until,
        save=save,
    )
    found = record.evaluation(_CASE)
    if found is not None and report is not None:
        from rramfit.reporting.network import evaluation_report
        from rramfit.reporting.page.origin import with_origin

        page = evaluation_report(
            given.name,
            given.setup,
            given.data.name,
            found,
            conditions=conditions.with_chips(found.chips),
            card_limits=limits,
            together=_together(record),
        )
        with_origin(page, study_origin(given.model_card, given.seed)).save(report)
    _print(record, as_json=as_json)


def _print(record: StudyRecord, *, as_json: bool) -> None:
    """Print the evaluation of all chips of a record."""
    from rramfit.units import counted

    found, about = record.evaluation(_CASE), record.about
    if found is None:
        msg = "the chips in --save have gaps; run the other parts, or merge them"
        raise click.UsageError(msg)
    conditions = about["notes"]["conditions"]
    if as_json:
        whole = {**about["head"], **found.to_json(), **about["notes"]}
        values = {**conditions["values"], "chips": found.chips}
        whole["conditions"] = {**conditions, "values": values}
        whole["together"] = {name: x.to_json() for name, x in _together(record).items()}
        print_json({**whole, "record": record.to_json()})
        return
    out = console()
    head = about["head"]
    out.print(
        f"[bold]{head['network']}[/] on {head['card']}, {head['data']}, {found.images} images, "
        f"{counted(found.chips, 'chip')}",
        highlight=False,
    )
    of = found.measure
    worst = found.percentile5 if of.better == "higher" else found.percentile95
    for label, text in (
        *([] if of.name == "accuracy" else [("metric", of.name)]),
        ("digital", of.text(found.digital)),
        ("mean", found.mean.text(of)),
        ("deviation", found.deviation.text(of)),
        ("5th percentile" if worst is found.percentile5 else "95th percentile", worst.text(of)),
        (f"yield at {of.text(found.threshold)}", found.chip_yield.percent()),
    ):
        out.print(f"  {label:<18}{text}", highlight=False)
    if found.total is not None:
        parts = ", ".join(f"{name} {100 * x:.2f}" for name, x in found.total.parts())
        out.print(f"  {'mean, all errors':<18}{found.total.percent()}", highlight=False)
        out.print(f"  {'standard errors':<18}{parts} percentage points", highlight=False)
    for name, x in _together(record).items():
        out.print(f"  apart: {name}, mean {x.mean.text(of)} of {x.chips}", highlight=False)
    helps = [f"{h['name']} ({h['state']})" for h in conditions["helps"] if h["on"]]
    absent = conditions["values"]["not in the card"]
    out.print(f"  {'not in the card':<18}{absent}", highlight=False)
    out.print(f"  {'helps':<18}{'; '.join(helps) or 'none'}", highlight=False)
    for line in about["lines"]:
        out.print(f"  {line}", highlight=False)


evaluate.merge = merge_command("evaluate", _print)


def _committee(members: int) -> str:
    return f"committees of {members} chips"


def _together(record: StudyRecord) -> dict[str, Evaluation]:
    """Return the evaluations of committees and of mirrored images, by name."""
    found = {name: record.evaluation(name) for name in record.cases if name != _CASE}
    return {name: x for name, x in found.items() if x is not None}


def _check_together(
    card_draws: int | None, chips: int, committees: tuple[int, ...], *, mirror: bool
) -> None:
    """Check that committees have enough chips.

    Raises
    ------
    click.UsageError
        If they have not, or the card is drawn.
    """
    if card_draws is not None and (committees or mirror):
        msg = "--card-uncertainty is for single chips; remove --committee and --mirror"
    elif committees and chips < max(committees):
        msg = f"--committee {max(committees)} needs --chips {max(committees)} or more"
    else:
        return
    raise click.UsageError(msg)


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
