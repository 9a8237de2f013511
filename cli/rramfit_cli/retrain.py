"""`rramfit retrain`: fit a trained network to one fitted chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.network import network_options, subject
from rramfit_cli.training import (
    judged,
    key_of,
    recipe_of,
    save_trained,
    show,
    talk,
    teacher_of,
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
    model = options["model"]
    out = output or Path(f"{model.replace(':', '.')}.retrained.pt")

    from rramfit.mapping.evaluation import accuracy
    from rramfit.provenance import check_folder, sha256_of
    from rramfit.training.aware import train_aware
    from rramfit.training.loop import Run
    from rramfit.training.rank import process_group

    check_folder(out.absolute().parent)
    given = subject(options, trained=False)
    data = given.data
    guide = teacher_of(given.network, teacher)
    state = out.with_suffix(".state")
    of = {k: str(options[k]) for k in sorted(options) if k != "checkpoint"}
    weights = sha256_of(options["checkpoint"]), teacher and sha256_of(teacher)
    with (
        process_group() as rank,
        talk(out.with_suffix(".csv"), tensorboard, speaks=rank.first) as talking,
    ):
        run = Run(
            seed=given.seed,
            stage="retrain",
            key=key_of(of, *weights, how.retrain.model_dump_json()),
            checkpoint=state,
            resume=resume,
            rank=rank,
            on_epoch=talking.on_epoch,
            on_step=talking.on_step,
        )
        trained = train_aware(
            given.network, given.setup, data, how.retrain, run, teacher=guide, laid=given.laid
        )
        if not rank.first:
            return
        before, after = (
            accuracy(net, data.test_images, data.test_labels)
            for net in (given.network, trained.network)
        )
        save_trained(out, trained, state, network=model, recipe=how.name, accuracy=after)
    found: dict[str, Any] = {"before": (before, None), "retrained": (after, None)}
    if chips:
        few = {"chips": chips, "images": images}
        found["before"] = (before, judged(given.network, given, laid=given.laid, **few))
        found["retrained"] = (after, judged(trained.network, given, laid=trained.laid, **few))
    show(
        given,
        found,
        recipe=how.name,
        output=out,
        history=trained.history,
        report=report,
        as_json=as_json,
    )
