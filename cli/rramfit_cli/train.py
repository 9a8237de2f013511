"""`rramfit train`: train a network by a recipe, plainly and for the chips of a card."""

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
    .state, to resume from. Under torchrun all processes train together.
    """
    how = recipe_of(recipe, options["data"])
    model, seed = options["model"], options["seed"]
    out = output or Path(f"{model.replace(':', '.')}.pt")

    from rramfit.mapping.evaluation import accuracy
    from rramfit.provenance import check_folder, sha256_of
    from rramfit.training.aware import train_aware
    from rramfit.training.checkpoint import load_kept, save_weights
    from rramfit.training.history import stage_of
    from rramfit.training.loop import Run, train_stage
    from rramfit.training.rank import process_group

    check_folder(out.absolute().parent)
    given = subject(options, trained=False)
    network, data = given.network, given.data
    first = out if plain else out.with_suffix(".plain.pt")
    told = key_of(model, data.name, seed, how.plain.model_dump_json())
    state = out.with_suffix(".state")

    def figure(net: Any) -> float:
        return accuracy(net, data.test_images, data.test_labels)

    with (
        process_group() as rank,
        talk(out.with_suffix(".csv"), tensorboard, speaks=rank.first) as talking,
    ):
        kept = load_kept(first, key=told) if resume and not options["checkpoint"] else None
        if kept is not None:
            network.load_state_dict(kept)
            talking.before = stage_of(out.with_suffix(".csv"), "plain")
        elif not options["checkpoint"]:
            run = Run(
                seed=seed,
                key=told,
                checkpoint=state,
                resume=resume,
                rank=rank,
                on_epoch=talking.on_epoch,
                on_step=talking.on_step,
            )
            talking.before = train_stage(network, data, how.plain, run)
        naive = figure(network)
        if rank.first and not options["checkpoint"] and kept is None:
            save_weights(
                first,
                network.state_dict(),
                network=model,
                recipe=how.name,
                accuracy=naive,
                key=told,
            )
            state.unlink(missing_ok=True)
        found: dict[str, Any] = {"float32": (naive, None)}
        if not plain:
            of = {k: str(options[k]) for k in sorted(options) if k != "checkpoint"}
            weights = sha256_of(options["checkpoint"]) if options["checkpoint"] else told
            state = out.with_suffix(".aware.state")
            run = Run(
                seed=seed,
                stage="aware",
                key=key_of(
                    of, weights, teacher and sha256_of(teacher), how.aware.model_dump_json()
                ),
                checkpoint=state,
                resume=resume,
                rank=rank,
                on_epoch=talking.on_epoch,
                on_step=talking.on_step,
            )
            guide = teacher_of(network, teacher)
            trained = train_aware(
                network, given.setup, data, how.aware, run, teacher=guide, laid=given.laid
            )
        if not rank.first:
            return
        if not plain:
            after = figure(trained.network)
            save_trained(out, trained, state, network=model, recipe=how.name, accuracy=after)
            found["trained"] = (after, None)
    if chips and not plain:
        few = {"chips": chips, "images": images}
        found["float32"] = (naive, judged(network, given, laid=given.laid, **few))
        found["trained"] = (after, judged(trained.network, given, laid=trained.laid, **few))
    history = talking.before if plain else [*talking.before, *trained.history]
    show(
        given,
        found,
        recipe=how.name,
        output=out,
        history=history,
        report=report,
        as_json=as_json,
    )
