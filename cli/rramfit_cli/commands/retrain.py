"""`rramfit retrain`: fit a trained network to one fitted chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.options.network import check_apart, network_options, subject
from rramfit_cli.options.training import (
    check_resumable,
    digital_accuracy,
    judged,
    recipe_of,
    said_of,
    show,
    talk,
    teacher_of,
    train_for_chips,
    training_options,
)

__all__ = ["retrain"]


@click.command()
@network_options
@training_options
@click.option(
    "--hardware",
    metavar="MODULE:CALLABLE",
    help="Products that the real chip gives, measured at every step; see the README.",
)
def retrain(
    hardware: str | None,
    recipe: str | None,
    output: Path | None,
    resume: bool,
    teacher: Path | None,
    tensorboard: Path | None,
    chips: int,
    images: int,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train MODEL of --checkpoint for one chip: as --cells describes it, or in the loop.

    Its faults and measured offsets stay as they are, what was not measured is drawn at every step;
    with --place, rows and columns are assigned around the faults first. Evaluate what comes out
    with the same --card, --cells and --place: the checkpoint keeps the assignment.

    With --hardware the forward of training, and of the test after every epoch, is the chip's own,
    and the gradient is the digital layer's; --chips judges on the card's chips as ever.
    """
    if not options["checkpoint"] or not (options["cells"] or hardware):
        msg = (
            "a network is retrained for one chip: give --checkpoint, and the chip's --cells or "
            "--hardware"
        )
        raise click.UsageError(msg)
    how = recipe_of(recipe, options["data"])
    out = output or Path(f"{options['model'].replace(':', '.')}.retrained.pt")

    from rramfit.mapping.study.imported import import_callable
    from rramfit.provenance import check_file
    from rramfit.training.loop.rank import process_group

    csv, state = out.with_suffix(".csv"), out.with_suffix(".state")
    check_apart({**options, "teacher": teacher}, out, csv, state, report)
    check_file(out)
    given = subject(options, trained=False)
    guide = teacher_of(given.network, teacher)
    measure = None if hardware is None else import_callable(hardware)
    about = {**options, "teacher": teacher, "hardware": hardware}
    of = said_of("retrain", how.retrain, given, about)
    if resume:
        check_resumable(done={out: of}, begun={state: of})
    with process_group() as rank, talk(csv, tensorboard, speaks=rank.first) as talking:
        run = talking.run(
            seed=given.seed, stage="retrain", of=of, checkpoint=state, resume=resume, rank=rank
        )
        trained = train_for_chips(
            given, how.retrain, run, out=out, recipe=how.name, teacher=guide, hardware=measure
        )
    if trained is None:
        return
    before = digital_accuracy(given, given.network)
    found: dict[str, Any] = {"before": (before, None), "retrained": (trained.accuracy, None)}
    if chips:
        few = {"chips": chips, "images": images}
        found["before"] = (before, judged(given.network, given, laid=given.laid, **few))
        found["retrained"] = (
            trained.accuracy,
            judged(trained.network, given, laid=trained.laid, **few),
        )
    show(
        given,
        found,
        recipe=how.name,
        output=out,
        history=trained.history,
        report=report,
        as_json=as_json,
    )
