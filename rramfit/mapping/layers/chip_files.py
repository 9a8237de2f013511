"""Files that hold the chip of a network: cells, scales and ranges of every matrix.

A file also states the card and a digest of every weight that was programmed: a chip that holds
other weights, or cells of another card, is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rramfit.errors import CheckpointError, MappingError
from rramfit.mapping.layers.network import analog_weights
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.mapping.tiles.calibration import Calibration
from rramfit.mapping.tiles.chip_source import TileCells
from rramfit.provenance import atomic_file

__all__ = ["load_chip", "save_chip"]

_KEYS = {"cells", "scale", "chip", "largest", "signed", "full_scale", "card", "weight"}


def save_chip(model: nn.Module, path: Path) -> None:
    """Save the chip that holds a network.

    Raises
    ------
    MappingError
        If no chip is programmed.
    """
    content: dict[str, dict[str, Any]] = {}
    for weight, held in analog_weights(model):
        matrix = weight.matrix
        if matrix.programmed is None or matrix.calibration is None or matrix.scale is None:
            msg = f"{matrix.plan.name} is not programmed; call program(model, seed=…) first"
            raise MappingError(msg)
        cells, c = matrix.programmed.cells, matrix.calibration
        content[matrix.plan.name] = {
            "cells": {f.name: getattr(cells, f.name).cpu() for f in dataclasses.fields(cells)},
            "scale": matrix.scale.detach().cpu(),
            "chip": list(matrix.chip),
            "largest": c.largest,
            "signed": c.signed,
            "full_scale": c.full_scale.cpu(),
            "card": matrix.setup.card_name,
            "weight": _digest(held),
        }
    with atomic_file(path) as temporary:
        torch.save(content, temporary)


def load_chip(model: nn.Module, path: Path) -> None:
    """Map a network onto a saved chip; it must be converted with the same setup.

    Raises
    ------
    CheckpointError
        If `save_chip` did not write the file, or the matrices, the card or the weights differ from
        the network's.
    """
    content = load_tensors(path, expected="a chip written by save_chip")
    weights = list(analog_weights(model))
    names = [w.matrix.plan.name for w, _ in weights]
    if sorted(content) != sorted(names):
        raise CheckpointError(
            path, "matrices", found=str(sorted(content)), expected=str(sorted(names))
        )
    for weight, held in weights:
        _check(path, weight.matrix.plan.name, content, weight.matrix.setup.card_name, held)
    for weight, held in weights:
        one = content[weight.matrix.plan.name]
        device = weight.matrix.setup.model.device
        shape = one["cells"]["conductance"].shape
        wanted = (weight.matrix.plan.tiles, *weight.matrix.plan.tile)
        if tuple(shape) != wanted:
            name = weight.matrix.plan.name
            raise CheckpointError(path, name, found=f"cells {tuple(shape)}", expected=str(wanted))
        weight.restore(
            TileCells(**one["cells"]).to(device),
            held,
            scale=one["scale"].to(device),
            calibration=Calibration(
                largest=one["largest"],
                signed=one["signed"],
                full_scale=one["full_scale"].to(device),
            ),
            chip=(one["chip"][0], one["chip"][1]),
        )


def _check(path: Path, name: str, content: dict[str, Any], card: str, held: Tensor) -> None:
    """Refuse cells of another card, and cells that hold another weight."""
    one = content[name]
    missing = sorted(_KEYS - set(one)) if isinstance(one, dict) else sorted(_KEYS)
    if missing:
        raise CheckpointError(
            path,
            name,
            found=f"no {missing[0]}",
            expected="a chip written by save_chip",
            remedy="program the network and save its chip again",
        )
    if one["card"] != card:
        raise CheckpointError(
            path,
            name,
            found=f"cells of card {one['card']}",
            expected=f"cells of card {card}",
            remedy="convert the network with the card of the chip",
        )
    if one["weight"] != _digest(held):
        raise CheckpointError(
            path,
            name,
            found="cells that were programmed with other weights",
            expected="the weights of this network",
            remedy="load the parameters that were programmed before the chip",
        )


def _digest(weight: Tensor) -> str:
    values = weight.detach().cpu().contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()
