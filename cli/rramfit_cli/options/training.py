"""Common options and steps of the training commands: progress, checkpoints, results."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rramfit_cli.console import stages
from rramfit_cli.options.results import digital_accuracy
from rramfit_cli.options.types import INPUT, OUTPUT_REPORT, output_of
from rramfit_cli.overwriting import FIELDS, check_before, force_option

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rramfit.mapping.study.scores.metrics import Measure
    from rramfit.training.forward.layer_forward import Hardware
    from rramfit.training.loop.history import Epoch
    from rramfit.training.loop.recipe import AwareStage, Recipe, Stage
    from rramfit.training.loop.stage import Progress, Run
    from rramfit_cli.options.network import Subject

__all__ = [
    "Outcome",
    "TrainingLog",
    "check_resumable",
    "check_training_files",
    "checkpoint_identity",
    "choose_recipe",
    "save_trained",
    "train_for_chips",
    "training_log",
    "training_options",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--recipe",
        help="Training recipe: a TOML file, or digits, cifar10, cifar10-adapt, cifar10-average, "
        "cifar10-finish or cifar10-wide. Default: cifar10 for a folder of --data, otherwise "
        "digits.",
    ),
    click.option(
        "-o",
        "--output",
        type=output_of("checkpoint"),
        help="Checkpoint to write. Default: named after MODEL.",
    ),
    click.option("--resume", is_flag=True, help="Resume the interrupted training of OUTPUT."),
    click.option(
        "--teacher",
        type=INPUT,
        help="Float32 checkpoint of the teacher for distillation, of MODEL or a built-in network. "
        "Default: the recipe's teacher, or the initial weights of the training for chips.",
    ),
    click.option(
        "--tensorboard",
        type=click.Path(file_okay=False, path_type=Path),
        help="Write TensorBoard logs to this folder.",
    ),
    click.option(
        "--chips",
        type=click.IntRange(min=0),
        default=10,
        help="Number of chips for the final evaluation.",
    ),
    click.option(
        "--images",
        type=click.IntRange(min=1),
        default=1000,
        help="Number of test images per chip.",
    ),
    click.option(
        "--report", type=OUTPUT_REPORT, help="HTML report to write, with learning curves."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
    force_option,
)


def training_options(command: _F) -> _F:
    """Add the training options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choose_recipe(name: str | None, data: str) -> Recipe:
    """Read the given recipe, or the default recipe for the data."""
    from rramfit.training.loop.recipe import load_recipe

    if name is None:
        name = "cifar10" if Path(data).is_dir() else "digits"
    return load_recipe(name)


def checkpoint_identity(
    name: str,
    stage: Stage,
    given: Subject,
    options: Mapping[str, Any],
    *,
    network: nn.Module | None = None,
) -> dict[str, str]:
    """Return the identity of a stage's checkpoint: options, hashes of files, the stage's recipe.

    The network is the subject's, unless another one is given.
    """
    from rramfit.provenance import sha256_of

    identity = {
        k: sha256_of(v)[:16] if isinstance(v, Path) else str(sorted(v) if k == "off" else v)
        for k, v in options.items()
    }
    trained = given.network if network is None else network
    shapes = [tuple(x.shape) for x in trained.state_dict().values()]
    identity["data"] = given.data.name
    identity["layers"] = hashlib.sha256(str(shapes).encode()).hexdigest()[:16]
    return identity | {f"{name}.{k}": str(v) for k, v in stage.model_dump().items()}


def check_training_files(history: Path, *checkpoints: Path) -> None:
    """Check, before any work, that the files of a training do not replace other files.

    Raises
    ------
    OverwriteError
        If one of them exists and no training wrote it.
    """
    from rramfit.training.loop.history import Epoch

    check_before(history, "table", ",".join(f.name for f in dataclasses.fields(Epoch)[:FIELDS]))
    for path in checkpoints:
        check_before(path, "checkpoint")


def check_resumable(
    *, done: Mapping[Path, Mapping[str, str]], begun: Mapping[Path, Mapping[str, str]]
) -> None:
    """Check, before any work, that the checkpoints belong to this training.

    Parameters
    ----------
    done, begun : mapping
        Paths of finished and of interrupted stages, with their identities. If this training was
        interrupted, finished stages may belong to another training, which it overwrites.

    Raises
    ------
    CheckpointError
        If an existing checkpoint is invalid or belongs to another training.
    """
    from rramfit.training.loop.checkpoint import load_checkpoint

    states = [load_checkpoint(path, identity=x) for path, x in begun.items()]
    if any(one is not None for one in states):
        return
    finished = [load_checkpoint(path, identity=x) for path, x in done.items()]
    if all(one is None for one in finished):
        click.echo("no checkpoint to resume from; starting a new training", err=True)


@dataclass(slots=True)
class TrainingLog:
    """Progress of a training on standard error, and the epochs of its earlier stages."""

    csv: Path
    status: Callable[[str], None]
    board: Callable[[Epoch], None] | None
    measure: Measure | None = None  # None: accuracy
    before: list[Epoch] = field(default_factory=list)
    seconds_left: float = 0.0

    def run(self, **how: Any) -> Run:
        """Return a run that reports to this log."""
        from rramfit.training.loop.stage import Run

        return Run(on_epoch=self.on_epoch, on_step=self.on_step, **how)

    def _text(self, value: float) -> str:
        return f"{100 * value:.2f} %" if self.measure is None else self.measure.text(value)

    def on_step(self, at: Progress) -> None:
        """Show the progress of an epoch."""
        self.seconds_left = at.seconds_left
        self.status(
            f"epoch {at.epoch} of {at.epochs}, step {at.step} of {at.steps}, "
            f"{self._text(at.accuracy)}, {_clock(at.seconds_left)} left"
        )

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        """Save and print the result of an epoch."""
        from rramfit.training.loop.history import write_history

        write_history(self.csv, [*self.before, *history])
        last = history[-1]
        click.echo(
            f"{last.stage} epoch {last.epoch}: loss {last.loss:.4f}, "
            f"train {self._text(last.train_accuracy)}, "
            f"test {self._text(last.test_accuracy)}, "
            f"{_clock(last.seconds)} elapsed, {_clock(self.seconds_left)} left",
            file=sys.stderr,
        )
        if self.board is not None:
            self.board(last)


@contextlib.contextmanager
def training_log(
    csv: Path, tensorboard: Path | None, *, verbose: bool, measure: Measure
) -> Iterator[TrainingLog]:
    """Report epochs and steps on standard error; only the first process is verbose."""
    from rramfit.training.loop.history import tensorboard_log

    with contextlib.ExitStack() as stack:
        status = stack.enter_context(stages("training")) if verbose else lambda _: None
        board = None
        if tensorboard is not None and verbose:
            board = stack.enter_context(tensorboard_log(tensorboard))
        try:
            yield TrainingLog(csv=csv, status=status, measure=measure, board=board)
        except KeyboardInterrupt:
            if verbose:
                click.echo("stopped; use --resume to continue after the last epoch", err=True)
            raise


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of training for chips."""

    network: nn.Module  # digital, with weights rounded to codes
    mapping: Mapping[str, Mapping[str, Tensor]]
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
    """Train a network for chips and save it, or load it if this training is already finished.

    Returns
    -------
    Outcome or None
        None in all processes but the first.
    """
    import copy

    from rramfit.training.aware import train_aware
    from rramfit.training.loop.checkpoint import load_checkpoint
    from rramfit.training.loop.history import stage_of
    from rramfit_cli.options.network import name_digital_parts

    done = load_checkpoint(out, identity=run.identity, strict=False) if run.resume else None
    if done is not None:
        network = copy.deepcopy(given.network)
        network.load_state_dict(done["model"])
        mapping = done["laid"]
        history = stage_of(out.with_suffix(".csv"), run.stage)
    else:
        trained = train_aware(
            given.network,
            given.setup,
            given.data,
            stage,
            run,
            teacher=teacher,
            mapping=given.mapping,
            hardware=hardware,
            exclude=given.digital,
            strict=given.strict,
            metric=given.metric,
        )
        name_digital_parts(trained.analog)
        network, mapping, history = trained.network, trained.mapping, trained.history
    if not run.rank.first:
        return None
    found = digital_accuracy(given, network)
    if done is None:
        save_trained(given, network, run, out=out, recipe=recipe, mapping=mapping)
    return Outcome(network=network, mapping=mapping, accuracy=found, history=history)


def save_trained(
    given: Subject,
    network: nn.Module,
    run: Run,
    *,
    out: Path,
    recipe: str,
    mapping: Mapping[str, Mapping[str, Tensor]] | None = None,
    model: str | None = None,
) -> None:
    """Save the result of a stage and delete its state file; `model` names another network."""
    from rramfit.training.loop.checkpoint import save_weights

    save_weights(
        out,
        network.state_dict(),
        mapping=mapping,
        of=run.identity,
        network=model or given.name,
        recipe=recipe,
        accuracy=digital_accuracy(given, network),
    )
    if run.checkpoint is not None:
        run.checkpoint.unlink(missing_ok=True)
