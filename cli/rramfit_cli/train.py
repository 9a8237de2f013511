"""`rramfit train`: train a network by a recipe."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.talk import print_json, stages

if TYPE_CHECKING:
    from rramfit.training.history import Epoch
    from rramfit.training.loop import Progress

__all__ = ["train"]


@click.command()
@click.argument("model", default="mlp")
@click.option("--data", default="digits", help="`digits`, or a folder: CIFAR-10, MNIST's form.")
@click.option("--recipe", help="TOML file, or a name: digits, cifar10; by the data's kind.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Checkpoint; MODEL.pt.")
@click.option("--seed", type=click.IntRange(min=0), default=0)
@click.option("--resume", is_flag=True, help="Go on where a training of OUTPUT was interrupted.")
@click.option("--tensorboard", type=click.Path(path_type=Path), help="Keep a TensorBoard run here.")
@click.option("--plain", is_flag=True, help="Train the digital network only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def train(
    model: str,
    data: str,
    recipe: str | None,
    output: Path | None,
    seed: int,
    resume: bool,
    tensorboard: Path | None,
    plain: bool,  # noqa: ARG001
    as_json: bool,
) -> None:
    """Train MODEL by a recipe.

    MODEL is mlp, vgg5, resnet8 or module:callable. Beside OUTPUT come OUTPUT with .csv for its
    ending, a line for each epoch, and while it trains .state, to resume from.
    """
    from rramfit.mapping.datasets import load_dataset
    from rramfit.mapping.evaluation import accuracy
    from rramfit.mapping.networks import make_network
    from rramfit.provenance import check_folder
    from rramfit.training.checkpoint import save_weights
    from rramfit.training.history import write_history
    from rramfit.training.loop import Run, train_stage
    from rramfit.training.rank import process_group
    from rramfit.training.recipe import load_recipe

    out = output or Path(f"{model.replace(':', '.')}.pt")
    check_folder(out.absolute().parent)
    how = load_recipe(recipe or ("digits" if data == "digits" else "cifar10"))
    given = load_dataset(data)
    network = make_network(model, given.shape, given.classes, seed=seed)
    told = f"{model} {given.name} {seed} {how.plain.model_dump_json()}"
    state = out.with_suffix(".state")
    with process_group() as rank, _talk(tensorboard, rank.first) as (on_epoch, on_step):

        def keep(history: Sequence[Epoch]) -> None:
            write_history(out.with_suffix(".csv"), history)
            on_epoch(history)

        history = train_stage(
            network,
            given,
            how.plain,
            Run(
                seed=seed,
                key=hashlib.sha256(told.encode()).hexdigest()[:16],
                checkpoint=state,
                resume=resume,
                rank=rank,
                on_epoch=keep,
                on_step=on_step,
            ),
        )
        if not rank.first:
            return
        found = accuracy(network, given.test_images, given.test_labels)
        save_weights(out, network.state_dict(), network=model, recipe=how.name, accuracy=found)
        state.unlink(missing_ok=True)
    if as_json:
        print_json(
            {
                "network": model,
                "data": given.name,
                "recipe": how.name,
                "seed": seed,
                "epochs": len(history),
                "accuracy": found,
            }
        )
        return
    click.echo(f"{model} on {given.name}: {100 * found:.2f} % digital; {out}")


@contextlib.contextmanager
def _talk(
    tensorboard: Path | None, speaks: bool
) -> Iterator[tuple[Callable[[Sequence[Epoch]], None], Callable[[Progress], None]]]:
    """Tell of epochs and steps on standard error."""
    from rramfit.training.history import tensorboard_log

    with contextlib.ExitStack() as stack:
        tell = stack.enter_context(stages("training")) if speaks else lambda _: None
        board = None
        if tensorboard is not None and speaks:
            board = stack.enter_context(tensorboard_log(tensorboard))
        left = [0.0]

        def on_step(at: Progress) -> None:
            left[0] = at.seconds_left
            tell(
                f"epoch {at.epoch} of {at.epochs}, step {at.step} of {at.steps}, "
                f"{100 * at.accuracy:.1f} %, {_clock(at.seconds_left)} left"
            )

        def on_epoch(history: Sequence[Epoch]) -> None:
            last = history[-1]
            click.echo(
                f"{last.stage} epoch {last.epoch}: loss {last.loss:.4f}, "
                f"train {100 * last.train_accuracy:.2f} %, test {100 * last.test_accuracy:.2f} %, "
                f"{_clock(last.seconds)} so far, {_clock(left[0])} left",
                file=sys.stderr,
            )
            if board is not None:
                board(last)

        yield on_epoch, on_step


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}"
