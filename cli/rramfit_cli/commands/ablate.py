"""`rramfit ablate`: accuracy cost of each non-ideality."""

from __future__ import annotations

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
from rramfit_cli.options.types import OUTPUT_REPORT
from rramfit_cli.options.workers import given_shard
from rramfit_cli.overwriting import force_option
from rramfit_cli.page_origin import study_origin

if TYPE_CHECKING:
    from rramfit.mapping.study.ablation import Ablation
    from rramfit.mapping.study.study_record import StudyRecord
    from rramfit.workers import Shard

__all__ = ["ablate"]


@click.command(cls=MergeableCommand)
@network_options
@click.option("--chips", type=click.IntRange(min=1), default=10, help="Number of chips per case.")
@click.option("--images", type=click.IntRange(min=1), help="Number of test images. Default: all.")
@bn_recalibration_option
@metric_option
@click.option(
    "--helps",
    is_flag=True,
    help="Also leave out each help that the chips have, such as the amplifiers of the tiles.",
)
@study_options
@click.option("-o", "--report", type=OUTPUT_REPORT, help="HTML report to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@force_option
def ablate(
    chips: int,
    images: int | None,
    bn_recalibration: int | None,
    helps: bool,
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
    """Evaluate MODEL with each non-ideality alone, with all but one, and with all.

    MODEL is mlp, vgg5, vgg5-wide, vgg7, resnet8 or module:callable. An mlp without --checkpoint is
    trained first; other networks need --checkpoint.

    Chips are indices under the seed: the results of parts, made with --shard or --first, are joined
    by `rramfit ablate merge FILE…`, where FILEs are their --json outputs or --save files.
    """
    check_output_paths(options, report, save)
    shard = given_shard(shard, 1 if first is not None or until is not None else chips, "chips")
    check_study_options(shard=shard, first=first, until=until, save=save, resume=resume)
    given = subject(options, trained=True)
    print_card_warnings(given)

    from rramfit.mapping import analog_matrices
    from rramfit.mapping.study.ablation import AblationCase, ablation_cases
    from rramfit.mapping.study.conditions import active_helps, conditions_of
    from rramfit.mapping.study.evaluation import accuracy
    from rramfit.mapping.study.study_record import CaseRecord, StudyRecord
    from rramfit_cli.study_runs import mapped, resumed, run_study_here, study_job

    left_out = active_helps(given.setup, bn_recalibration=bn_recalibration) if helps else ()
    cases = ablation_cases(given.setup, chips + (first or 0), helps=left_out)
    job = study_job(given, options, images=images, bn_recalibration=bn_recalibration, jobs=jobs)
    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    digital = accuracy(given.network, test, labels, metric=given.metric)
    analog = mapped(job, cases[0], given)
    conditions = conditions_of(
        analog_matrices(analog),
        given.model_card,
        data=given.data.name,
        images=len(labels),
        seed=given.seed,
        bn_recalibration=bn_recalibration,
        metric=given.metric.measure.name,
        digital=" ".join(name_digital_parts(analog)) or "none",
    )
    record = StudyRecord(
        kind="ablate",
        key=job.key,
        about={
            "network": given.name,
            "card": given.card,
            "data": given.data.name,
            "seed": given.seed,
            "bn_recalibration_images": bn_recalibration,
            "conditions": conditions.to_json(),
        },
        digital=digital,
        threshold=given.metric.measure.threshold(digital),
        card_draws=0,
        cases={case.name: CaseRecord(case.chips) for case in cases},
        measure=given.metric.measure,
    )
    record = resumed(record, save, resume=resume)

    def wanted(case: AblationCase) -> range:
        return shard.block(case.chips) if shard else range(first or 0, case.chips)

    run_study_here(
        job,
        record,
        cases,
        wanted,
        given=given,
        jobs=jobs,
        scheduler=scheduler,
        until=until,
        save=save,
    )
    found = _ablation(record)
    if report is not None and found is not None:
        from rramfit.reporting.network import ablation_report
        from rramfit.reporting.page.origin import with_origin

        page = ablation_report(
            given.name,
            given.setup,
            given.data.name,
            found,
            conditions=conditions.with_chips(found.everything.chips),
        )
        with_origin(page, study_origin(given.model_card, given.seed)).save(report)
    _print(record, as_json=as_json)


def _ablation(record: StudyRecord) -> Ablation | None:
    """Return the ablation of all chips of a record; None if a case has no chips, or gaps."""
    from rramfit.mapping.study.ablation import ablation_of

    evaluations = {name: record.evaluation(name) for name in record.cases}
    complete = {name: e for name, e in evaluations.items() if e is not None}
    return ablation_of(complete) if len(complete) == len(evaluations) else None


def _print(record: StudyRecord, *, as_json: bool) -> None:
    """Print the ablation of a record; of a part without all cases, what it has."""
    found = _ablation(record)
    if as_json:
        content = {} if found is None else found.to_json()
        about = dict(record.about)
        if found is not None:
            values = {**about["conditions"]["values"], "chips": found.everything.chips}
            about["conditions"] = {**about["conditions"], "values": values}
        print_json({**about, **content, "record": record.to_json()})
        return
    if found is None:
        done = sum(case.done for case in record.cases.values())
        total = sum(case.chips for case in record.cases.values())
        click.echo(f"{done} of {total} chips are done. Join the parts with `rramfit ablate merge`.")
        return
    from rich.table import Table

    table = Table("factor", "alone", "cost", "all others", "recovered", box=None)
    digital, everything = found.everything.digital, found.everything.mean.value
    of = found.everything.measure
    for f in found.factors:
        table.add_row(
            f.factor,
            of.text(f.alone.mean.value),
            of.difference(digital - f.alone.mean.value),
            of.text(f.without.mean.value),
            of.difference(f.without.mean.value - everything),
        )
    out = console()
    out.print(table)
    if found.helps:
        worth = Table("help", "without it", "worth", box=None)
        for h in found.helps:
            mean = h.without.mean.value
            worth.add_row(h.help, of.text(mean), of.difference(everything - mean))
        out.print(worth)
    out.print(
        f"digital: {of.text(digital)}; all factors: {found.everything.mean.text(of)}; "
        f"inactive factors: {', '.join(found.absent) or 'none'}",
        highlight=False,
    )


ablate.merge = merge_command("ablate", _print)
