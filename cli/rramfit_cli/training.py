"""What commands that train have in common: how they speak, and what they keep and show."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rramfit_cli.talk import console, print_json, stages

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.mapping.evaluation import Evaluation
    from rramfit.training.aware import Trained
    from rramfit.training.history import Epoch
    from rramfit.training.loop import Progress
    from rramfit.training.recipe import Recipe
    from rramfit_cli.network import Subject

__all__ = [
    "Talk",
    "judged",
    "key_of",
    "recipe_of",
    "save_trained",
    "show",
    "talk",
    "teacher_of",
    "training_options",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--recipe",
        help="TOML file, or a name: digits, cifar10, cifar10-adapt, -average, -finish; by data.",
    ),
    click.option("-o", "--output", type=_PATH, help="Checkpoint; MODEL.pt where not given."),
    click.option("--resume", is_flag=True, help="Go on where a training of OUTPUT stopped."),
    click.option(
        "--teacher",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Weights in float32 to learn from; those that training for chips starts from.",
    ),
    click.option("--tensorboard", type=_PATH, help="Keep a TensorBoard run here."),
    click.option(
        "--chips", type=click.IntRange(min=0), default=10, help="Chips to judge it by at the end."
    ),
    click.option(
        "--images", type=click.IntRange(min=1), default=1000, help="Test images for each of them."
    ),
    click.option("--report", type=_PATH, help="Write an HTML report, with learning curves."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)


def training_options(command: _F) -> _F:
    """Give a command the options of a training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def recipe_of(name: str | None, data: str) -> Recipe:
    """Read the recipe that is asked for, or the one that suits the data."""
    from rramfit.training.recipe import load_recipe

    return load_recipe(name or ("digits" if data == "digits" else "cifar10"))


def teacher_of(network: nn.Module, weights: Path | None) -> nn.Module:
    """Make the network that training for chips learns from, of this network's kind."""
    import copy

    from rramfit.mapping.networks import load_weights

    teacher = copy.deepcopy(network)
    if weights is not None:
        load_weights(teacher, weights)
    return teacher


def key_of(*parts: object) -> str:
    """Make a short name of what a checkpoint is of."""
    return hashlib.sha256(" ".join(str(p) for p in parts).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Talk:
    """What is told of a training as it goes, and the epochs of its stages so far."""

    csv: Path
    tell: Callable[[str], None]
    board: Callable[[Epoch], None] | None
    before: list[Epoch] = field(default_factory=list)
    left: float = 0.0

    def on_step(self, at: Progress) -> None:
        """Show where it stands."""
        self.left = at.seconds_left
        self.tell(
            f"epoch {at.epoch} of {at.epochs}, step {at.step} of {at.steps}, "
            f"{100 * at.accuracy:.1f} %, {_clock(at.seconds_left)} left"
        )

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        """Keep and tell what an epoch came to."""
        from rramfit.training.history import write_history

        write_history(self.csv, [*self.before, *history])
        last = history[-1]
        click.echo(
            f"{last.stage} epoch {last.epoch}: loss {last.loss:.4f}, "
            f"train {100 * last.train_accuracy:.2f} %, test {100 * last.test_accuracy:.2f} %, "
            f"{_clock(last.seconds)} so far, {_clock(self.left)} left",
            file=sys.stderr,
        )
        if self.board is not None:
            self.board(last)


@contextlib.contextmanager
def talk(csv: Path, tensorboard: Path | None, *, speaks: bool) -> Iterator[Talk]:
    """Tell of epochs and steps on standard error, where this process speaks."""
    from rramfit.training.history import tensorboard_log

    with contextlib.ExitStack() as stack:
        tell = stack.enter_context(stages("training")) if speaks else lambda _: None
        board = None
        if tensorboard is not None and speaks:
            board = stack.enter_context(tensorboard_log(tensorboard))
        yield Talk(csv=csv, tell=tell, board=board)


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}"


def save_trained(out: Path, trained: Trained, state: Path, **about: str | float) -> None:
    """Save what a training for chips ended with; what it could be resumed from is then not needed.

    Parameters
    ----------
    out : Path
    trained : Trained
    state : Path
        Removed.
    **about
        Kept beside the weights.
    """
    from rramfit.training.checkpoint import save_weights

    save_weights(out, trained.network.state_dict(), laid=trained.laid, **about)
    state.unlink(missing_ok=True)


def judged(
    network: nn.Module,
    given: Subject,
    *,
    laid: Mapping[str, Mapping[str, Tensor]] | None,
    chips: int,
    images: int,
) -> Evaluation:
    """Run a network on chips."""
    from rramfit.mapping import convert_to_analog
    from rramfit.mapping.evaluation import accuracy, evaluate

    test, labels = given.data.test_images[:images], given.data.test_labels[:images]
    analog = convert_to_analog(
        network, given.setup, inputs=given.inputs, laid=laid, seed=given.seed
    )
    digital = accuracy(network, test, labels)
    return evaluate(analog, test, labels, digital=digital, chips=chips, seed=given.seed)


def show(
    given: Subject,
    found: Mapping[str, tuple[float, Evaluation | None]],
    *,
    recipe: str,
    output: Path,
    history: Sequence[Epoch],
    report: Path | None,
    as_json: bool,
) -> None:
    """Tell what came of a training: for each network its digital accuracy, and that on chips."""
    if report is not None:
        from rramfit.reporting.training import training_report

        training_report(
            given.name,
            given.setup,
            given.data.name,
            recipe=recipe,
            history=history,
            found=found,
        ).save(report)
    if as_json:
        print_json(
            {
                "network": given.name,
                "card": given.card,
                "data": given.data.name,
                "recipe": recipe,
                "seed": given.seed,
                "epochs": len(history),
                "checkpoint": str(output),
                **{
                    name: {"digital": digital, "chips": None if on is None else on.to_json()}
                    for name, (digital, on) in found.items()
                },
            }
        )
        return
    out = console()
    out.print(f"[bold]{given.name}[/] on {given.data.name}, {output}", highlight=False)
    for name, (digital, on) in found.items():
        out.print(f"  {name + ', digital':<20}{100 * digital:.2f} %", highlight=False)
        if on is not None:
            chips = f"{name}, {on.chips} chips"
            text = f"{on.mean.percent()} on {on.images} images of {given.card}"
            out.print(f"  {chips:<20}{text}", highlight=False)
