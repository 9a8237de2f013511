"""`rramfit retrain`: fit a trained network to one fitted chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.network import check_apart, network_options, subject
from rramfit_cli.training import (
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
def retrain(
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
    """Train MODEL of --checkpoint for the one chip that --cells describes.

    Its faults and measured offsets stay as they are, what was not measured is drawn at every step;
    with --place, rows and columns are assigned around the faults first. Evaluate what comes out
    with the same --card, --cells and --place: the checkpoint keeps the assignment.
    """
    if not options["cells"] or not options["checkpoint"]:
        msg = "a network is retrained for one chip: give --checkpoint, and the chip's --cells"
        raise click.UsageError(msg)
    how = recipe_of(recipe, options["data"])
    out = output or Path(f"{options['model'].replace(':', '.')}.retrained.pt")

    from rramfit.provenance import check_file
    from rramfit.training.rank import process_group

    csv, state = out.with_suffix(".csv"), out.with_suffix(".state")
    check_apart({**options, "teacher": teacher}, out, csv, state, report)
    check_file(out)
    given = subject(options, trained=False)
    guide = teacher_of(given.network, teacher)
    of = said_of("retrain", how.retrain, given, {**options, "teacher": teacher})
    if resume:
        check_resumable(done=[(out, of)], states=[(state, of)])
    with process_group() as rank, talk(csv, tensorboard, speaks=rank.first) as talking:
        run = talking.run(
            seed=given.seed, stage="retrain", of=of, checkpoint=state, resume=resume, rank=rank
        )
        trained = train_for_chips(given, how.retrain, run, out=out, recipe=how.name, teacher=guide)
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
