"""Options of the data, the metric, and the device of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["DATA_OPTION", "DEVICE_OPTION", "metric_option"]

_F = TypeVar("_F", bound=Callable[..., Any])

DATA_OPTION = click.option(
    "--data",
    default="digits",
    help="Data set: `digits`; a folder with CIFAR-10 or MNIST-format files or with a folder of "
    "images for each class; a .npz file; or module:callable, which is run.",
)

DEVICE_OPTION = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    help="Where networks run; auto: CUDA if there is a GPU. The chips of a seed depend on it.",
)


def metric_option(command: _F) -> _F:
    """Add the option `--metric` to a command."""
    return click.option(
        "--metric",
        help="What is evaluated: accuracy, token-accuracy, perplexity, rmse, mae, or "
        "module:callable(outputs, labels), which returns a score for each sample. Default: "
        "accuracy for classes, perplexity for tokens, rmse for other targets.",
    )(command)
