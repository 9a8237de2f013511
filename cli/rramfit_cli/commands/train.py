"""`rramfit train`: train a network with a recipe, digitally and for the chips of a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rramfit_cli.options.data import metric_option
from rramfit_cli.options.digital_stages import digital_stages, load_teacher, teacher_files
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

__all__ = ["train"]


@click.command()
@network_options
@metric_option
@training_options
@click.option("--plain", is_flag=True, help="Train only the digital network, not for chips.")
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
    """Train MODEL with a recipe: first the digital network, then for the chips of a card.

    MODEL is mlp, vgg5, vgg5-wide, vgg7, resnet8 or module:callable. With --checkpoint, the digital
    stage is skipped. Without options, an mlp is trained on scikit-learn's digits for reference
    chips. If the recipe has a teacher, it is trained before the others.

    The command also writes files next to OUTPUT: a .csv with one line per epoch, a .plain.pt with
    the digital network, a .teacher.pt, and during training a .state file for --resume. In
    training for chips, the test accuracy is measured on newly drawn cells. Under torchrun, all
    processes train the same network. At the end, the network is compared with the float32 network
    as it is (float32) and with BatchNorm statistics of drawn chips (recalibrated), which the
    trained network has, too.
    """
    how = choose_recipe(recipe, options["data"])
    model, checkpoint = options["model"], options["checkpoint"]
    out = output or Path(f"{model.replace(':', '.')}.pt")

    from rramfit.provenance import check_file
    from rramfit.training.aware import untrained_for_chips
    from rramfit.training.loop.bn_recalibration import batch_norm_layers
    from rramfit.training.loop.rank import process_group

    if plain and checkpoint:
        msg = "--plain trains from random weights; give --checkpoint or --plain, not both"
        raise click.UsageError(msg)
    first, csv = out if plain else out.with_suffix(".plain.pt"), out.with_suffix(".csv")
    state, aware_state = out.with_suffix(".state"), out.with_suffix(".aware.state")
    of_teacher = teacher_files(how, out, teacher)
    written = out, csv, state, aware_state, report, *([] if plain else [first]), *of_teacher
    check_output_paths({**options, "teacher": teacher}, *written)
    check_file(out)
    check_training_files(csv, out, first, state, aware_state, *of_teacher)
    given = subject(options, trained=False)
    if not plain:
        print_card_warnings(given)
    guide = load_teacher(given, teacher)
    before = digital_stages(
        how, given, out=out, teacher=teacher, plain=None if checkpoint else first
    )
    of = checkpoint_identity("aware", how.aware, given, {**options, "teacher": teacher})
    done, begun = {}, {}
    for one in before:
        of |= one.identity
        done[one.out], begun[one.state] = one.identity, one.identity
    if not plain:
        done[out], begun[aware_state] = of, of
    if resume:
        check_resumable(done=done, begun=begun)
    measure = given.metric.measure
    with (
        process_group(given.device) as rank,
        training_log(csv, tensorboard, verbose=rank.first, measure=measure) as log,
    ):
        common = {"seed": given.seed, "resume": resume, "rank": rank}
        for one in before:
            run = log.run(stage=one.name, identity=one.identity, checkpoint=one.state, **common)
            log.before += one.train(given, run, recipe=how.name, csv=csv, teacher=guide)
            if one.name == "teacher":
                guide = one.network
        trained = None
        if not plain:
            run = log.run(stage="aware", identity=of, checkpoint=aware_state, **common)
            trained = train_for_chips(
                given, how.aware, run, out=out, recipe=how.name, teacher=guide
            )
        if not rank.first:
            return
    naive = digital_accuracy(given, given.network)
    found: dict[str, Any] = {"float32": (naive, None)}
    history = log.before
    if trained is not None:
        found["trained"] = (trained.accuracy, None)
        history = [*history, *trained.history]
        if chips:
            few = {"chips": chips, "images": images}
            found["float32"] = (
                naive,
                evaluate_on_chips(
                    given.network, given, mapping=given.mapping, name="float32", **few
                ),
            )
            if batch_norm_layers(given.network) and how.aware.bn_recalibration_images:
                network, mapping = untrained_for_chips(
                    given.network,
                    given.setup,
                    given.data.train_images[: how.aware.bn_recalibration_images],
                    mapping=given.mapping,
                    exclude=given.digital,
                    seed=given.seed,
                )
                found["recalibrated"] = (
                    digital_accuracy(given, network),
                    evaluate_on_chips(network, given, mapping=mapping, name="recalibrated", **few),
                )
            on_chips = evaluate_on_chips(
                trained.network, given, mapping=trained.mapping, name="trained", **few
            )
            found["trained"] = (trained.accuracy, on_chips)
    show_results(
        given,
        found,
        recipe=how.name,
        output=out,
        history=history,
        report=report,
        as_json=as_json,
    )
