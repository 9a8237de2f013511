"""`rramfit retrain`: retrain a network for one chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.options.data import metric_option
from rramfit_cli.options.digital_stages import load_teacher
from rramfit_cli.options.network import (
    check_output_paths,
    network_options,
    print_card_warnings,
    subject,
)
from rramfit_cli.options.results import digital_accuracy, evaluate_on_chips, show_results
from rramfit_cli.options.training import (
    check_resumable,
    check_training_files,
    checkpoint_identity,
    choose_recipe,
    train_for_chips,
    training_log,
    training_options,
)

__all__ = ["retrain"]


@click.command()
@network_options
@metric_option
@training_options
@click.option(
    "--hardware",
    metavar="MODULE:CALLABLE",
    help="Function that measures products on a real chip at every step.",
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
    """Retrain MODEL of --checkpoint for one chip: a fitted chip (--cells), or real hardware.

    Faults and measured offsets of the chip are fixed; other properties are drawn at every step.
    With --place, rows and columns are first assigned around the faults. Evaluate the result with
    the same --card, --cells and --place; the checkpoint stores the assignment.

    With --hardware, the real chip computes the forward pass in training and in the test after every
    epoch; the gradient is that of the digital layer. The final evaluation (--chips) uses chips of
    the card.
    """
    if not options["checkpoint"] or not (options["cells"] or hardware):
        msg = "retraining needs a network and a chip. Add --checkpoint, and --cells or --hardware"
        raise click.UsageError(msg)
    how = choose_recipe(recipe, options["data"])
    out = output or Path(f"{options['model'].replace(':', '.')}.retrained.pt")

    from rramfit.mapping.study.imported import import_callable
    from rramfit.provenance import check_file
    from rramfit.training.loop.rank import process_group

    csv, state = out.with_suffix(".csv"), out.with_suffix(".state")
    check_output_paths({**options, "teacher": teacher}, out, csv, state, report)
    check_file(out)
    check_training_files(csv, out, state)
    given = subject(options, trained=False)
    print_card_warnings(given)
    guide = load_teacher(given, teacher)
    measured = None if hardware is None else import_callable(hardware)
    about = {**options, "teacher": teacher, "hardware": hardware}
    of = checkpoint_identity("retrain", how.retrain, given, about)
    if resume:
        check_resumable(done={out: of}, begun={state: of})
    measure = given.metric.measure
    with (
        process_group(given.device) as rank,
        training_log(csv, tensorboard, verbose=rank.first, measure=measure) as log,
    ):
        run = log.run(
            seed=given.seed,
            stage="retrain",
            identity=of,
            checkpoint=state,
            resume=resume,
            rank=rank,
        )
        trained = train_for_chips(
            given, how.retrain, run, out=out, recipe=how.name, teacher=guide, hardware=measured
        )
    if trained is None:
        return
    before = digital_accuracy(given, given.network)
    found: dict[str, Any] = {"before": (before, None), "retrained": (trained.accuracy, None)}
    if chips:
        few = {"chips": chips, "images": images}
        found["before"] = (
            before,
            evaluate_on_chips(given.network, given, mapping=given.mapping, name="before", **few),
        )
        found["retrained"] = (
            trained.accuracy,
            evaluate_on_chips(
                trained.network, given, mapping=trained.mapping, name="retrained", **few
            ),
        )
    show_results(
        given,
        found,
        recipe=how.name,
        output=out,
        history=trained.history,
        report=report,
        as_json=as_json,
    )
