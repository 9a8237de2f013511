"""Training loop of one stage: epochs of steps, with a checkpoint after each epoch.

A step takes a batch, augments it, and updates the weights by the gradient of a loss. The loss and a
function to call before each step are arguments, so plain and chip-aware training share the loop.

All random numbers of an epoch depend only on the seed, the stage and the epoch. A resumed training
therefore equals the uninterrupted one bit for bit and repeats at most one epoch. (This holds on the
same machine with the same number of threads, because rounding depends on the order of sums.)

With bf16 the network runs under autocast; weights, their average and the optimizer stay in float32.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rramfit.errors import TrainingError
from rramfit.mapping.study.datasets import Dataset
from rramfit.mapping.study.scores.metrics import METRICS, Metric
from rramfit.streams import torch_stream
from rramfit.training.loop.augmentation import augment
from rramfit.training.loop.average import WeightAverage
from rramfit.training.loop.checkpoint import load_checkpoint, save_state
from rramfit.training.loop.history import Epoch
from rramfit.training.loop.losses import task_loss
from rramfit.training.loop.rank import Rank
from rramfit.training.loop.recipe import Stage, rate_at

__all__ = [
    "Extra",
    "Loss",
    "Progress",
    "Run",
    "cross_entropy",
    "parameter_groups",
    "precision",
    "tester",
    "train_stage",
]

TEST_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a training within an epoch."""

    epoch: int  # from 1
    epochs: int
    step: int  # in this epoch, from 1
    steps: int
    accuracy: float  # or another metric, mean over this epoch, on augmented images
    seconds_left: float  # until the end of the stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Parameters of one training run that are not in the recipe.

    Attributes
    ----------
    seed : int
    stage : str
        Name of the stage; it is part of the random seed.
    identity : mapping
        Options that identify the training; a checkpoint must have the same identity to be resumed.
    checkpoint : Path, optional
        State file, written after every epoch.
    resume : bool
        Continue from the state file, if it exists.
    rank : Rank
    on_epoch, on_step : callable, optional
        Called after each epoch and each step.
    """

    seed: int = 0
    stage: str = "plain"
    identity: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False
    rank: Rank = field(default_factory=Rank)
    on_epoch: Callable[[Sequence[Epoch]], None] | None = None
    on_step: Callable[[Progress], None] | None = None


class Extra(Protocol):
    """Additional state of a training that a checkpoint must hold."""

    def state(self) -> dict[str, Any]:
        """Return the state to save."""

    def load(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function from outputs, images and labels to a scalar loss."""


def train_stage(
    model: nn.Module,
    data: Dataset,
    stage: Stage,
    run: Run,
    *,
    loss: Loss | None = None,
    groups: list[dict[str, Any]] | None = None,
    before_step: Callable[[int, int, int], None] | None = None,
    test: Callable[[nn.Module], float] | None = None,
    extra: Extra | None = None,
    metric: Metric | None = None,
) -> list[Epoch]:
    """Train a network in place for one stage; at the end it has its averaged weights.

    Parameters
    ----------
    model : nn.Module
    data : Dataset
    stage : Stage
    run : Run
    loss : callable, optional
        Default: that of the kind of labels, with the stage's label smoothing
        (`rramfit.training.loop.losses`).
    groups : list of dict, optional
        Parameter groups for the optimizer, each with ``params``, and optionally ``rate_factor`` and
        ``weight_decay``.
    before_step : callable (epoch, step, steps), optional
        Called before each step; epoch and step of the stage count from 0, `steps` is the number of
        steps per epoch.
    test : callable, optional
        Function that returns the accuracy of a network. Default: accuracy on the test images.
    extra : Extra, optional
        Additional state for the checkpoint.
    metric : Metric, optional
        Metric of the history, in place of the accuracy. Default: that of the data.

    Returns
    -------
    list of Epoch

    Raises
    ------
    TrainingError
        If the loss is not finite, or a process has no image in the last batch.
    CheckpointError
        If the checkpoint is invalid or belongs to another training.
    """
    device = next(model.parameters()).device
    sides = torch.randint(
        2, (len(data.train_labels),), generator=torch_stream(run.seed, f"train/{run.stage}/sides")
    )
    if stage.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(stage, groups or parameter_groups(model))
    average = WeightAverage(model, stage.ema, span=stage.ema_span) if stage.ema else None
    history: list[Epoch] = []
    state = load_checkpoint(run.checkpoint, identity=run.identity) if run.resume else None
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load(state["average"])
        history = [Epoch(**x) for x in state["history"]]
        if extra is not None:
            extra.load(state["extra"])
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    steps = -(-len(labels) // stage.batch)
    last = len(labels) - (steps - 1) * stage.batch
    if last < run.rank.world:
        msg = (
            f"the last batch of an epoch has {last} of {len(labels)} images for {run.rank.world} "
            f"processes; use a batch size other than {stage.batch}"
        )
        raise TrainingError(msg)
    net: nn.Module = model
    if run.rank.world > 1:
        net = nn.parallel.DistributedDataParallel(model)
    criterion = loss or cross_entropy(stage)
    of = metric or METRICS[data.metric]
    before = sum(x.seconds for x in history[-1:])
    start = time.monotonic()
    started_at = len(history) * steps
    for epoch in range(len(history), stage.epochs):
        total, right, seen = torch.zeros(3, device=device)
        with _epoch_streams(run, epoch) as (order_stream, image_stream):
            order = torch.randperm(len(labels), generator=order_stream)
            model.train()
            for step, batch in enumerate(torch.split(order, stage.batch)):
                at = epoch * steps + step
                for group in optimizer.param_groups:
                    rate = rate_at(stage, (at + 1) / (stage.epochs * steps))
                    group["lr"] = rate * group["rate_factor"]
                if before_step is not None:
                    before_step(epoch, at, steps)
                own = run.rank.share(batch)
                mine = own.to(device)
                x = images[mine]
                if x.ndim == 4:
                    flip = (
                        (sides[own] + epoch) % 2 == 1 if stage.flip == "alternating" else stage.flip
                    )
                    x = augment(x, image_stream, crop=stage.crop, flip=flip, cutout=stage.cutout)
                x = _to_memory_format(x, stage)
                y = labels[mine]
                with precision(stage, device):
                    out = net(x)
                    value = criterion(out.float(), x, y)
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                if stage.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), stage.clip)
                optimizer.step()
                if average is not None:
                    average.update(model, at)
                total += value.detach() * len(y)
                right += of.score(out.detach().float(), y).float().sum()
                seen += len(y)
                if run.on_step is not None:
                    spent = time.monotonic() - start
                    left = spent / (at + 1 - started_at) * (stage.epochs * steps - at - 1)
                    run.on_step(
                        Progress(
                            epoch=epoch + 1,
                            epochs=stage.epochs,
                            step=step + 1,
                            steps=steps,
                            accuracy=of.measure.of_mean(float(right / seen)),
                            seconds_left=left,
                        )
                    )
        sums = run.rank.total(torch.stack((total, right, seen)))
        with averaged(model, average):
            found = (test or tester(data, stage, of))(model)
        history.append(
            Epoch(
                stage=run.stage,
                epoch=epoch + 1,
                loss=float(sums[0] / sums[2]),
                train_accuracy=of.measure.of_mean(float(sums[1] / sums[2])),
                test_accuracy=found,
                rate=rate,
                seconds=before + time.monotonic() - start,
            )
        )
        if not history[-1].finite:
            msg = (
                f"epoch {epoch + 1} of {run.stage}: the loss is {history[-1].loss}; "
                "lower the recipe's rate or set clip"
            )
            raise TrainingError(msg)
        if run.rank.first:
            _save_checkpoint(run, model, optimizer, average, history, extra)
            if run.on_epoch is not None:
                run.on_epoch(history)
    if average is not None:
        model.load_state_dict(average.values)
    model.eval()
    return history


def cross_entropy(stage: Stage) -> Loss:
    """Return the loss of the labels' kind, with a stage's label smoothing."""

    def loss(out: Tensor, _: Tensor, labels: Tensor) -> Tensor:
        return task_loss(out, labels, label_smoothing=stage.label_smoothing)

    return loss


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Split parameters into groups with weight decay, and without it (one-dimensional)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _optimizer(stage: Stage, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    kept = [{"rate_factor": 1.0, **g} for g in groups if g["params"]]
    if stage.optimizer == "adamw":
        return torch.optim.AdamW(kept, lr=stage.rate, weight_decay=stage.decay)
    return torch.optim.SGD(
        kept,
        lr=stage.rate,
        momentum=stage.momentum,
        weight_decay=stage.decay,
        nesterov=stage.momentum > 0,
    )


@contextlib.contextmanager
def _epoch_streams(run: Run, epoch: int) -> Iterator[tuple[torch.Generator, torch.Generator]]:
    """Yield the generators of an epoch's order and augmentation.

    Torch's global generator, which dropout uses, is seeded, too, and restored afterwards.
    """
    name = f"train/{run.stage}/{epoch}"
    own = torch_stream(run.seed, f"{name}/global/{run.rank.index}").initial_seed()
    with torch.random.fork_rng():
        torch.manual_seed(own)
        yield (
            torch_stream(run.seed, f"{name}/order"),
            torch_stream(run.seed, f"{name}/images/{run.rank.index}"),
        )


def precision(stage: Stage, device: torch.device) -> torch.autocast:
    """Return the autocast context of a stage's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=stage.precision == "bf16")


def _to_memory_format(x: Tensor, stage: Stage) -> Tensor:
    if stage.channels_last and x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()


@contextlib.contextmanager
def averaged(model: nn.Module, average: WeightAverage | None) -> Iterator[None]:
    """Use the averaged weights within the context."""
    if average is None:
        yield
        return
    current = {k: v.detach().clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average.values)
    try:
        yield
    finally:
        model.load_state_dict(current)


def tester(data: Dataset, stage: Stage, metric: Metric | None) -> Callable[[nn.Module], float]:
    """Return a function for the metric on the test images, in a stage's precision."""
    of = metric or METRICS[data.metric]

    def found(model: nn.Module) -> float:
        device = next(model.parameters()).device
        counts = 0
        model.eval()
        with torch.no_grad(), precision(stage, device):
            for x, y in zip(
                torch.split(data.test_images, TEST_BATCH),
                torch.split(data.test_labels, TEST_BATCH),
                strict=True,
            ):
                out = model(_to_memory_format(x.to(device), stage)).float()
                counts += int(of.counts(out, y.to(device)).sum())
        return of.mean_of(counts, len(data.test_labels)) if len(data.test_labels) else math.nan

    return found


def _save_checkpoint(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    history: list[Epoch],
    extra: Extra | None,
) -> None:
    if run.checkpoint is None:
        return
    save_state(
        run.checkpoint,
        {
            "of": dict(run.identity),
            "model": model.state_dict(),
            "average": None if average is None else average.values,
            "optimizer": optimizer.state_dict(),
            "history": [asdict(x) for x in history],
            "extra": None if extra is None else extra.state(),
        },
    )
