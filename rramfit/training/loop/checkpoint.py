"""Checkpoints: whole or not at all.

Two kinds. The one to go on from holds all that the next epoch depends on: weights, their average,
the optimizer's state, the epochs done and their figures. Random numbers need no place in it, for
each epoch's streams follow from the seed and the epoch. The one to keep holds weights alone, in
float32.

A file is written beside its place and renamed, so that a kill leaves the old one. Its bytes follow
from its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rramfit.errors import CheckpointError
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.provenance import whole_file

__all__ = ["load_checkpoint", "save_state", "save_weights"]


def save_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(path) as beside, beside.open("wb") as f:  # a name would be in the bytes
        torch.save(dict(content), f)


def load_checkpoint(
    path: Path | None, *, of: Mapping[str, str], strict: bool = True
) -> dict[str, Any] | None:
    """Read a checkpoint of one training, of either kind; None where there is none.

    Parameters
    ----------
    path : Path or None
    of : mapping
        What it must be a checkpoint of, as it was saved under ``of``.
    strict : bool
        Without it, None where it is broken or of another training.

    Raises
    ------
    CheckpointError
        If it is broken, or of another training: the message names what differs.
    """
    if path is None or not path.exists():
        return None
    try:
        return _of_one_training(path, of)
    except CheckpointError:
        if strict:
            raise
        return None


def _of_one_training(path: Path, of: Mapping[str, str]) -> dict[str, Any]:
    expected = "a checkpoint to resume from; delete it to start anew"
    content = load_tensors(path, expected=expected)
    found = content.get("of")
    if not isinstance(found, dict):
        raise CheckpointError(path, "file", found="no word of its training", expected=expected)
    differ = [k for k in {**of, **found} if found.get(k) != of.get(k)]
    if differ:
        raise CheckpointError(
            path,
            "training",
            found=", ".join(f"{k} {found.get(k)}" for k in differ),
            expected=", ".join(f"{k} {of.get(k)}" for k in differ),
            remedy="resume with what it was started with, write elsewhere, or delete it",
        )
    return content


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    laid: Mapping[str, Mapping[str, Tensor]] | None = None,
    **about: str | float | Mapping[str, str],
) -> None:
    """Write weights to keep, in float32, under ``model``.

    Parameters
    ----------
    path : Path
    weights : mapping
        A state dict.
    laid : mapping, optional
        How layers are laid on chips, for `convert_to_analog`.
    about : str, float or mapping
        Kept beside them; ``of`` is what `load_checkpoint` asks for.

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
