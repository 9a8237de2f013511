"""`rramfit train`: train a network by a recipe, plainly and for the chips of a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.options.network import check_apart, network_options, subject
from rramfit_cli.options.training import (
    check_resumable,
    digital_accuracy,
    judged,
    recipe_of,
    said_of,
    save_trained,
    show,
    talk,
    teacher_of,
    train_for_chips,
    training_options,
)

if TYPE_CHECKING:
    from rramfit.training.loop.history import Epoch
    from rramfit.training.loop.recipe import Recipe
    from rramfit.training.loop.stage import Run
    from rramfit_cli.options.network import Subject

__all__ = ["train"]


@click.command()
@network_options
@training_options
@click.option("--plain", is_flag=True, help="Train the digital network only.")
def train(
    recipe: str | None,
    output: Path | None,
    resume: bool,
    teacher: Path | None,
    tensorboard: Path | None,
    chips: int,
    images: int,
    report: Path | None,
    as_json: bool,
    plain: bool,
    **options: Any,
) -> None:
    """Train MODEL by a recipe: plainly, then for chips like a card's.

    MODEL is mlp, vgg5, resnet8 or module:callable. With --checkpoint its plain training is left
    out. Without any option: an mlp on scikit-learn's digits, for reference chips. Beside OUTPUT
    come its .csv, a line for each epoch, the .plain.pt of the first stage, and while it trains a
    .state, to resume from. The accuracy that a line calls test is, in training for chips, that on
    freshly drawn cells. Under torchrun all processes train together.
    """
    how = recipe_of(recipe, options["data"])
    model, checkpoint = options["model"], options["checkpoint"]
    out = output or Path(f"{model.replace(':', '.')}.pt")

    from rramfit.provenance import check_file
    from rramfit.training.loop.rank import process_group

    if plain and checkpoint:
        msg = "plain training starts anew; give --checkpoint or --plain, not both"
        raise click.UsageError(msg)
    first, csv = out if plain else out.with_suffix(".plain.pt"), out.with_suffix(".csv")
    state, aware_state = out.with_suffix(".state"), out.with_suffix(".aware.state")
    written = out, csv, state, aware_state, report, *([] if plain else [first])
    check_apart({**options, "teacher": teacher}, *written)
    check_file(out)
    given = subject(options, trained=False)
    guide = teacher_of(given.network, teacher)
    of_plain = said_of("plain", how.plain, given, {"model": model, "seed": given.seed})
    of = said_of("aware", how.aware, given, {**options, "teacher": teacher})
    done, begun = {}, {}
    if not checkpoint:
        of |= of_plain
        done[first], begun[state] = of_plain, of_plain
    if not plain:
        done[out], begun[aware_state] = of, of
    if resume:
        check_resumable(done=done, begun=begun)
    with process_group() as rank, talk(csv, tensorboard, speaks=rank.first) as talking:
        common = {"seed": given.seed, "resume": resume, "rank": rank}
        if not checkpoint:
            run = talking.run(of=of_plain, checkpoint=state, **common)
            talking.before = _train_plainly(given, how, run, out=first, csv=csv)
        trained = None
        if not plain:
            run = talking.run(stage="aware", of=of, checkpoint=aware_state, **common)
            trained = train_for_chips(
                given, how.aware, run, out=out, recipe=how.name, teacher=guide
            )
        if not rank.first:
            return
    naive = digital_accuracy(given, given.network)
    found: dict[str, Any] = {"float32": (naive, None)}
    history = talking.before
    if trained is not None:
        found["trained"] = (trained.accuracy, None)
        history = [*history, *trained.history]
        if chips:
            few = {"chips": chips, "images": images}
            found["float32"] = (naive, judged(given.network, given, laid=given.laid, **few))
            on_chips = judged(trained.network, given, laid=trained.laid, **few)
            found["trained"] = (trained.accuracy, on_chips)
    show(
        given,
        found,
        recipe=how.name,
        output=out,
        history=history,
        report=report,
        as_json=as_json,
    )


def _train_plainly(given: Subject, how: Recipe, run: Run, *, out: Path, csv: Path) -> list[Epoch]:
    """Train the digital network in place and save it, or take it as the same training saved it."""
    from rramfit.training.loop.checkpoint import load_checkpoint
    from rramfit.training.loop.history import stage_of
    from rramfit.training.loop.stage import train_stage

    network = given.network
    kept = load_checkpoint(out, of=run.of, strict=False) if run.resume else None
    if kept is not None:
        network.load_state_dict(kept["model"])
        return stage_of(csv, run.stage)
    history = train_stage(network, given.data, how.plain, run)
    if run.rank.first:
        save_trained(given, network, run, out=out, recipe=how.name)
    return history
