"""The loop: epochs of steps, with a checkpoint after each.

A step takes a batch, augments it, and moves the weights down the gradient of a loss. What is
trained for, and what happens before a step, is handed in; so plain and aware training share it.

All random numbers of an epoch follow from the seed, the stage and the epoch's number: an
interrupted training that is resumed is the uninterrupted one, bit for bit, and loses at most one
epoch. (On one machine, with as many threads: sums in another order round in another way.)

In bf16 the network runs under autocast; weights, their average and the optimizer stay in float32.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rramfit.errors import TrainingError
from rramfit.mapping.study.datasets import Dataset
from rramfit.streams import torch_stream
from rramfit.training.loop.augmentation import augment
from rramfit.training.loop.average import WeightAverage
from rramfit.training.loop.checkpoint import load_checkpoint, save_state
from rramfit.training.loop.history import Epoch
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
    """Where a training stands in the middle of an epoch."""

    epoch: int  # from 1
    epochs: int
    step: int  # in this epoch, from 1
    steps: int
    accuracy: float  # in this epoch so far, on augmented images
    seconds_left: float  # of the stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a stage is trained with besides its recipe.

    Attributes
    ----------
    seed : int
    stage : str
        Its name; two stages of one seed see other orders.
    of : mapping
        What a checkpoint must be of to be resumed from, as names and what they stand for.
    checkpoint : Path, optional
        Where to keep the state after every epoch, to resume from.
    resume : bool
        Go on from there, if it is there.
    rank : Rank
    on_epoch, on_step : callable, optional
        Told of each.
    """

    seed: int = 0
    stage: str = "plain"
    of: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False
    rank: Rank = field(default_factory=Rank)
    on_epoch: Callable[[Sequence[Epoch]], None] | None = None
    on_step: Callable[[Progress], None] | None = None


class Extra(Protocol):
    """What a training depends on besides weights, and changes as it goes."""

    def state(self) -> dict[str, Any]:
        """Give what is to be saved."""

    def load(self, state: dict[str, Any]) -> None:
        """Take what was saved."""


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From outputs, images and labels to a scalar."""


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
) -> list[Epoch]:
    """Train a network in place through one stage; it ends with the average of its weights.

    Parameters
    ----------
    model : nn.Module
    data : Dataset
    stage : Stage
    run : Run
    loss : callable, optional
        Cross entropy with the stage's smoothing where not given.
    groups : list of dict, optional
        Parameters for the optimizer, each with ``params``, and ``rate_factor`` and
        ``weight_decay`` where they differ.
    before_step : callable (epoch, step, steps), optional
        Called before each step: epoch and step of the stage count from 0, `steps` is an epoch's.
    test : callable, optional
        Accuracy of a network in evaluation; on the test images where not given.
    extra : Extra, optional
        What else a checkpoint must hold.

    Returns
    -------
    list of Epoch

    Raises
    ------
    TrainingError
        If the loss is no number, or processes are left without images.
    CheckpointError
        If the checkpoint is broken, or of another training.
    """
    device = next(model.parameters()).device
    if stage.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(stage, groups or parameter_groups(model))
    average = WeightAverage(model, stage.ema, span=stage.ema_span) if stage.ema else None
    history: list[Epoch] = []
    state = load_checkpoint(run.checkpoint, of=run.of) if run.resume else None
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
            f"processes; choose another batch than {stage.batch}"
        )
        raise TrainingError(msg)
    net: nn.Module = model
    if run.rank.world > 1:
        net = nn.parallel.DistributedDataParallel(model)
    criterion = loss or cross_entropy(stage)
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
                mine = run.rank.share(batch).to(device)
                x = augment(
                    images[mine],
                    image_stream,
                    crop=stage.crop,
                    flip=stage.flip,
                    cutout=stage.cutout,
                )
                x = _in_memory(x, stage)
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
                right += (out.detach().argmax(-1) == y).sum()
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
                            accuracy=float(right / seen),
                            seconds_left=left,
                        )
                    )
        sums = run.rank.total(torch.stack((total, right, seen)))
        with averaged(model, average):
            found = (test or tester(data, stage))(model)
        history.append(
            Epoch(
                stage=run.stage,
                epoch=epoch + 1,
                loss=float(sums[0] / sums[2]),
                train_accuracy=float(sums[1] / sums[2]),
                test_accuracy=found,
                rate=rate,
                seconds=before + time.monotonic() - start,
            )
        )
        if not history[-1].finite:
            msg = (
                f"epoch {epoch + 1} of {run.stage}: the loss is {history[-1].loss}; "
                "lower the recipe's rate, or set clip"
            )
            raise TrainingError(msg)
        if run.rank.first:
            _keep(run, model, optimizer, average, history, extra)
            if run.on_epoch is not None:
                run.on_epoch(history)
    if average is not None:
        model.load_state_dict(average.values)
    model.eval()
    return history


def cross_entropy(stage: Stage) -> Loss:
    """Cross entropy with a stage's label smoothing."""

    def loss(out: Tensor, _: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(out, labels, label_smoothing=stage.label_smoothing)

    return loss


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Split parameters into those that decay and those, of one axis, that do not."""
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
    """Open streams of an epoch's order and augmentation; torch's own generator is seeded too.

    That one is what dropout draws from. It is put back afterwards.
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
    """Autocast of a stage."""
    return torch.autocast(device.type, torch.bfloat16, enabled=stage.precision == "bf16")


def _in_memory(x: Tensor, stage: Stage) -> Tensor:
    if stage.channels_last:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()


@contextlib.contextmanager
def averaged(model: nn.Module, average: WeightAverage | None) -> Iterator[None]:
    """Let a network have the average of its weights for a while."""
    if average is None:
        yield
        return
    now = {k: v.detach().clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average.values)
    try:
        yield
    finally:
        model.load_state_dict(now)


def tester(data: Dataset, stage: Stage) -> Callable[[nn.Module], float]:
    """Accuracy on the test images, in a stage's precision."""

    def accuracy(model: nn.Module) -> float:
        device = next(model.parameters()).device
        right = 0
        model.eval()
        with torch.no_grad(), precision(stage, device):
            for x, y in zip(
                torch.split(data.test_images, TEST_BATCH),
                torch.split(data.test_labels, TEST_BATCH),
                strict=True,
            ):
                out = model(_in_memory(x.to(device), stage))
                right += int((out.argmax(-1) == y.to(device)).sum())
        return right / len(data.test_labels)

    return accuracy


def _keep(
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
            "of": dict(run.of),
            "model": model.state_dict(),
            "average": None if average is None else average.values,
            "optimizer": optimizer.state_dict(),
            "history": [asdict(x) for x in history],
            "extra": None if extra is None else extra.state(),
        },
    )
