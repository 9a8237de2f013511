"""Checkpoints: whole or not at all.

Two kinds. The one to go on from holds all that the next epoch depends on: weights, their average,
the optimizer's state, the epochs done and their figures. Random numbers need no place in it, for
each epoch's streams follow from the seed and the epoch. The one to keep holds weights alone, in
float32.

A file is written beside its place and renamed, so that a kill leaves the old one. Its bytes follow
from its content.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rramfit.errors import TrainingError
from rramfit.provenance import whole_file

__all__ = ["load_kept", "load_state", "save_state", "save_weights"]

_BROKEN = (
    *(OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError),
    pickle.UnpicklingError,
)
"""What `torch.load` raises for files that are none of its own."""


def save_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(path) as beside, beside.open("wb") as f:  # a name would be in the bytes
        torch.save(dict(content), f)


def load_state(path: Path, *, key: str) -> dict[str, Any] | None:
    """Read a checkpoint to go on from; None where there is none.

    Parameters
    ----------
    path : Path
    key : str
        What it must be a checkpoint of, as `save_state` got it under ``key``.

    Raises
    ------
    TrainingError
        If it is broken, or of another training.
    """
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = content["key"]
    except _BROKEN as e:
        reason = (str(e) or type(e).__name__).splitlines()[0]
        msg = f"{path}: {reason}; expected a checkpoint to resume from; delete it"
        raise TrainingError(msg) from None
    if found != key:
        msg = (
            f"{path} is of another training: found {found}; expected {key}; "
            "resume with the same network, data, recipe and seed, or delete it"
        )
        raise TrainingError(msg)
    return content


def load_kept(path: Path, *, key: str) -> dict[str, Tensor] | None:
    """Read weights that `save_weights` kept of the training `key`; None where there are none."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        weights: dict[str, Tensor] = content["model"]
    except _BROKEN:
        return None
    return weights if content.get("key") == key else None


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    laid: Mapping[str, Mapping[str, Tensor]] | None = None,
    **about: str | float,
) -> None:
    """Write weights to keep, in float32, under ``model``.

    Parameters
    ----------
    path : Path
    weights : mapping
        A state dict.
    laid : mapping, optional
        How layers are laid on chips, for `convert_to_analog`.
    about : str or float
        Kept beside them.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    plain = {
        name: (x.float() if x.is_floating_point() else x).detach().cpu().contiguous().clone()
        for name, x in weights.items()
    }
    lies = {} if laid is None else {"laid": {k: dict(v) for k, v in laid.items()}}
    save_state(path, {"model": plain, **lies, **about})
