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

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.options.types import OUTPUT

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.mapping.study.evaluation import Evaluation
    from rramfit.training.forward.layer_forward import Hardware
    from rramfit.training.loop.history import Epoch
    from rramfit.training.loop.recipe import AwareStage, Recipe, Stage
    from rramfit.training.loop.stage import Progress, Run
    from rramfit_cli.options.network import Subject

__all__ = [
    "Outcome",
    "Talk",
    "check_resumable",
    "digital_accuracy",
    "judged",
    "recipe_of",
    "said_of",
    "save_trained",
    "show",
    "talk",
    "teacher_of",
    "train_for_chips",
    "training_options",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--recipe",
        help="TOML file, or digits, cifar10, cifar10-adapt, cifar10-average, cifar10-finish; "
        "digits or cifar10 where not given.",
    ),
    click.option(
        "-o", "--output", type=OUTPUT, help="Checkpoint; named after MODEL where not given."
    ),
    click.option("--resume", is_flag=True, help="Go on where the training of OUTPUT stopped."),
    click.option(
        "--teacher",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Weights in float32 to learn from; those that training for chips starts from.",
    ),
    click.option(
        "--tensorboard",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep a TensorBoard run in this folder.",
    ),
    click.option(
        "--chips", type=click.IntRange(min=0), default=10, help="Chips to judge it by at the end."
    ),
    click.option(
        "--images", type=click.IntRange(min=1), default=1000, help="Test images for each of them."
    ),
    click.option("--report", type=OUTPUT, help="Write an HTML report, with learning curves."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)


def training_options(command: _F) -> _F:
    """Give a command the options of a training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def recipe_of(name: str | None, data: str) -> Recipe:
    """Read the recipe that is asked for, or the one that suits the data."""
    from rramfit.training.loop.recipe import load_recipe

    if name is None:
        name = "digits" if data == "digits" else "cifar10"
    return load_recipe(name)


def teacher_of(network: nn.Module, weights: Path | None) -> nn.Module | None:
    """Load the network to learn from, of this network's kind; None where none is given."""
    import copy

    from rramfit.mapping.study.networks import load_weights

    if weights is None:
        return None
    teacher = copy.deepcopy(network)
    load_weights(teacher, weights)
    return teacher


def said_of(name: str, stage: Stage, given: Subject, options: Mapping[str, Any]) -> dict[str, str]:
    """Say what a stage's checkpoint is of: options, files by their content, the stage's recipe."""
    from rramfit.provenance import sha256_of

    said = {
        k: sha256_of(v)[:16] if isinstance(v, Path) else str(sorted(v) if k == "off" else v)
        for k, v in options.items()
    }
    shapes = [tuple(x.shape) for x in given.network.state_dict().values()]
    said["data"] = given.data.name
    said["layers"] = hashlib.sha256(str(shapes).encode()).hexdigest()[:16]
    return said | {f"{name}.{k}": str(v) for k, v in stage.model_dump().items()}


def check_resumable(
    *, done: Mapping[Path, Mapping[str, str]], begun: Mapping[Path, Mapping[str, str]]
) -> None:
    """Refuse, before any work, to go on from checkpoints of another training.

    Parameters
    ----------
    done, begun : mapping
        Where stages are kept that ended, and that did not, and what each must be of. What is done
        may be another training's where this one was begun: it was to be written over.

    Raises
    ------
    CheckpointError
        If one of those that are there is broken, or of another training.
    """
    from rramfit.training.loop.checkpoint import load_checkpoint

    states = [load_checkpoint(path, of=of) for path, of in begun.items()]
    if any(one is not None for one in states):
        return
    ended = [load_checkpoint(path, of=of) for path, of in done.items()]
    if all(one is None for one in ended):
        click.echo("nothing to resume from: a new training", err=True)


@dataclass(slots=True)
class Talk:
    """What is told of a training as it goes, and the epochs of its stages so far."""

    csv: Path
    tell: Callable[[str], None]
    board: Callable[[Epoch], None] | None
    before: list[Epoch] = field(default_factory=list)
    left: float = 0.0

    def run(self, **how: Any) -> Run:
        """Make a run that is told of."""
        from rramfit.training.loop.stage import Run

        return Run(on_epoch=self.on_epoch, on_step=self.on_step, **how)

    def on_step(self, at: Progress) -> None:
        """Show where it stands."""
        self.left = at.seconds_left
        self.tell(
            f"epoch {at.epoch} of {at.epochs}, step {at.step} of {at.steps}, "
            f"{100 * at.accuracy:.1f} %, {_clock(at.seconds_left)} left"
        )

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        """Keep and tell what an epoch came to."""
        from rramfit.training.loop.history import write_history

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
    from rramfit.training.loop.history import tensorboard_log

    with contextlib.ExitStack() as stack:
        tell = stack.enter_context(stages("training")) if speaks else lambda _: None
        board = None
        if tensorboard is not None and speaks:
            board = stack.enter_context(tensorboard_log(tensorboard))
        try:
            yield Talk(csv=csv, tell=tell, board=board)
        except KeyboardInterrupt:
            if speaks:
                click.echo("stopped; --resume goes on after the last whole epoch", err=True)
            raise


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What training for chips came to."""

    network: nn.Module  # digital, its weights on the codes
    laid: Mapping[str, Mapping[str, Tensor]]
    accuracy: float  # digital
    history: Sequence[Epoch]


def train_for_chips(
    given: Subject,
    stage: AwareStage,
    run: Run,
    *,
    out: Path,
    recipe: str,
    teacher: nn.Module | None,
    hardware: Hardware | None = None,
) -> Outcome | None:
    """Train a network for chips and save it, or take it as it was saved by the same training.

    Returns
    -------
    Outcome or None
        None in other processes than the first.
    """
    import copy

    from rramfit.training.aware import train_aware
    from rramfit.training.loop.checkpoint import load_checkpoint
    from rramfit.training.loop.history import stage_of

    done = load_checkpoint(out, of=run.of, strict=False) if run.resume else None
    if done is not None:
        network = copy.deepcopy(given.network)
        network.load_state_dict(done["model"])
        laid = done["laid"]
        history = stage_of(out.with_suffix(".csv"), run.stage)
    else:
        trained = train_aware(
            given.network,
            given.setup,
            given.data,
            stage,
            run,
            teacher=teacher,
            laid=given.laid,
            hardware=hardware,
        )
        network, laid, history = trained.network, trained.laid, trained.history
    if not run.rank.first:
        return None
    found = digital_accuracy(given, network)
    if done is None:
        save_trained(given, network, run, out=out, recipe=recipe, laid=laid)
    return Outcome(network=network, laid=laid, accuracy=found, history=history)


def save_trained(
    given: Subject,
    network: nn.Module,
    run: Run,
    *,
    out: Path,
    recipe: str,
    laid: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Save what a stage ended with; what it could be resumed from is then not needed."""
    from rramfit.training.loop.checkpoint import save_weights

    save_weights(
        out,
        network.state_dict(),
        laid=laid,
        of=run.of,
        network=given.name,
        recipe=recipe,
        accuracy=digital_accuracy(given, network),
    )
    if run.checkpoint is not None:
        run.checkpoint.unlink(missing_ok=True)


def digital_accuracy(given: Subject, network: nn.Module) -> float:
    """Accuracy without a chip, on all test images."""
    from rramfit.mapping.study.evaluation import accuracy

    return accuracy(network, given.data.test_images, given.data.test_labels)


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
    from rramfit.mapping.study.evaluation import accuracy, evaluate

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
