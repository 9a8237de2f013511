"""History of a training: one line per epoch as CSV, and TensorBoard logs if it is installed."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rramfit.errors import CheckpointError, TrainingError
from rramfit.provenance import atomic_file

__all__ = ["Epoch", "read_history", "stage_of", "tensorboard_log", "write_history"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Result of one epoch."""

    stage: str
    epoch: int  # from 1
    loss: float
    train_accuracy: float  # on augmented images, during the epoch
    test_accuracy: float  # with averaged weights; NaN without test images
    rate: float  # learning rate at the end of the epoch
    seconds: float  # since the start of the stage, on this machine

    @property
    def finite(self) -> bool:
        """Whether the loss is finite."""
        return math.isfinite(self.loss)


def write_history(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write epochs as CSV, atomically."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow([field.name for field in dataclasses.fields(Epoch)])
        for one in epochs:
            writer.writerow([_text(x) for x in dataclasses.astuple(one)])


def _text(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_history(path: Path) -> list[Epoch]:
    """Read epochs from CSV.

    Raises
    ------
    CheckpointError
        If `write_history` did not write the file.
    """
    try:
        return _epochs(path)
    except (ValueError, TypeError, KeyError) as e:
        raise CheckpointError(
            path, "file", found=f"{type(e).__name__}: {e}", expected="a history of epochs"
        ) from None


def _epochs(path: Path) -> list[Epoch]:
    with path.open(newline="", encoding="utf-8") as f:
        return [
            Epoch(
                stage=row["stage"],
                epoch=int(row["epoch"]),
                loss=float(row["loss"]),
                train_accuracy=float(row["train_accuracy"]),
                test_accuracy=float(row["test_accuracy"]),
                rate=float(row["rate"]),
                seconds=float(row["seconds"]),
            )
            for row in csv.DictReader(f)
        ]


def stage_of(path: Path, stage: str) -> list[Epoch]:
    """Read the epochs of one stage; an empty list if there is no file."""
    return [x for x in read_history(path) if x.stage == stage] if path.exists() else []


@contextlib.contextmanager
def tensorboard_log(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Open a TensorBoard run and yield a function that logs one epoch.

    Raises
    ------
    TrainingError
        If tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        msg = "tensorboard is not installed; run pip install 'rramfit[tensorboard]'"
        raise TrainingError(msg) from None
    with SummaryWriter(str(folder)) as writer:

        def log(one: Epoch) -> None:
            for name in ("loss", "train_accuracy", "test_accuracy", "rate"):
                writer.add_scalar(f"{one.stage}/{name}", getattr(one, name), one.epoch)
            writer.flush()

        yield log
