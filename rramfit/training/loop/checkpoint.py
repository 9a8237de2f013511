"""Checkpoints, written atomically.

There are two kinds. A state file, for resuming, holds everything that the next epoch depends on:
weights, their average, the optimizer's state and the history. It holds no random state, because the
random streams of an epoch depend only on the seed and the epoch. A weights file holds the final
weights in float32.

A file is written under a temporary name and then renamed, so an interruption leaves the old file
intact. Equal content gives equal bytes.

Keys in files: ``model``, ``laid`` (mapping of the layers), ``of`` (identity of the training).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rramfit.errors import CheckpointError
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.provenance import atomic_file

__all__ = ["load_checkpoint", "save_state", "save_weights"]


def save_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with (
        atomic_file(path) as temporary,
        temporary.open("wb") as f,
    ):  # torch would store a path's name
        torch.save(dict(content), f)


def load_checkpoint(
    path: Path | None, *, identity: Mapping[str, str], strict: bool = True
) -> dict[str, Any] | None:
    """Read a checkpoint of one training, of either kind; None if there is no file.

    Parameters
    ----------
    path : Path or None
    identity : mapping
        Expected identity of the training, stored in the file as ``of``.
    strict : bool
        If False, return None for an invalid file or the checkpoint of another training.

    Raises
    ------
    CheckpointError
        If the file is invalid or belongs to another training; the message names the differences.
    """
    if path is None or not path.exists():
        return None
    try:
        return _read_checkpoint(path, identity)
    except CheckpointError:
        if strict:
            raise
        return None


def _read_checkpoint(path: Path, identity: Mapping[str, str]) -> dict[str, Any]:
    expected = "a checkpoint to resume from. Delete the file to start again"
    content = load_tensors(path, expected=expected)
    found = content.get("of")
    if not isinstance(found, dict):
        raise CheckpointError(
            path, "file", found="no description of its training", expected=expected
        )
    # earlier checkpoints have this recipe key under its former name
    found = {k.replace(".norm_images", ".bn_recalibration_images"): v for k, v in found.items()}
    differ = [k for k in {**identity, **found} if found.get(k) != identity.get(k)]
    if differ:
        raise CheckpointError(
            path,
            "training",
            found=", ".join(f"{k} {found.get(k)}" for k in differ),
            expected=", ".join(f"{k} {identity.get(k)}" for k in differ),
            remedy="resume with the original options, choose another output, or delete the file",
        )
    return content


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    *,
    mapping: Mapping[str, Mapping[str, Tensor]] | None = None,
    **about: str | float | Mapping[str, str],
) -> None:
    """Write final weights in float32, as ``model``.

    Parameters
    ----------
    path : Path
    weights : mapping
        A state dict.
    mapping : dict of str to LayerMapping, optional
        Scales and placements of the layers, for `convert_to_analog`; stored as ``laid``.
    about : str, float or mapping
        Additional entries; `load_checkpoint` compares ``of``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    plain = {
        name: (x.float() if x.is_floating_point() else x).detach().cpu().contiguous().clone()
        for name, x in weights.items()
    }
    layers = {} if mapping is None else {"laid": {k: dict(v) for k, v in mapping.items()}}
    save_state(path, {"model": plain, **layers, **about})
