"""The sound files that are mutated, made once from a seed.

sealed       a measurement as rramfit writes it: every change of a number must be noticed
unsealed     the same without the digest, as after an edit: HDF5's checksums are left
plain        the same as another program writes it: contiguous, without checksums
card         a sealed model card
cells        a sidecar
layout, log  a layout file and a log of a tester
checkpoint   tensors written by `torch.save`
cifar        a batch of CIFAR-10
"""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np

__all__ = ["FILES", "make_sources"]

FILES = {
    "sealed": "sealed.h5",
    "unsealed": "unsealed.h5",
    "plain": "plain.h5",
    "card": "chip.card.json",
    "cells": "chip.cells.h5",
    "layout": "layout.toml",
    "log": "log.csv",
    "checkpoint": "network.pt",
    "cifar": "test_batch",
}
"""File name of each source."""

_LAYOUT = """
[array]
id = "tile 3"
cell = "1T1R"
rows = 8
cols = 6

[source]
kind = "table"
separator = ","
header = true
columns = ["sweep", "row", "col", "level", "g", "ok"]

[levels]
target = [5.0, 50.0]
units = "uS"

[cells]
row = "row"
col = "col"

[program]
conductance = { column = "g", units = "uS" }
sweep = "sweep"
level = { column = "level" }
verified = { column = "ok" }
read_voltage = 0.2
"""


def make_sources(folder: Path) -> dict[str, Path]:
    """Write all sources into a folder, unless they are there; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {source: folder / name for source, name in FILES.items()}
    if all(path.is_file() for path in paths.values()):
        return paths
    _measurements(paths)
    _fitted(paths)
    paths["layout"].write_text(_LAYOUT, encoding="utf-8")
    _log(paths["log"])
    _checkpoint(paths["checkpoint"])
    _batch(paths["cifar"])
    return paths


def _measurements(paths: dict[str, Path]) -> None:
    from rramfit.measurement import synthesize, write_measurement
    from rramfit.measurement.virtual.cards import random_card

    groups = ("program", "reads", "retention", "iv", "mvm")
    card = random_card(5, levels=2, array=(12, 10))
    chip = synthesize(card, sweeps=4, seed=2, groups=groups)
    write_measurement(chip, paths["sealed"])
    shutil.copyfile(paths["sealed"], paths["unsealed"])
    with h5py.File(paths["unsealed"], "r+") as f:
        del f.attrs["content_sha256"]
    with h5py.File(paths["sealed"], "r") as old, h5py.File(paths["plain"], "w") as new:
        _copy_plainly(old, new)


def _copy_plainly(old: h5py.Group, new: h5py.Group) -> None:
    own = ("sha256", "content_sha256")
    new.attrs.update({name: value for name, value in old.attrs.items() if name not in own})
    for name, member in old.items():
        if isinstance(member, h5py.Group):
            _copy_plainly(member, new.create_group(name))
        else:
            copied = new.create_dataset(name, data=member[()])
            if "units" in member.attrs:
                copied.attrs["units"] = member.attrs["units"]


def _fitted(paths: dict[str, Path]) -> None:
    from rramfit.fitting.characterization import characterize

    card, cells = characterize(paths["sealed"], name="fitted").save(paths["card"].parent)
    card.replace(paths["card"])
    if cells is not None:
        cells.replace(paths["cells"])


def _log(path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = ["sweep,row,col,level,g,ok"]
    for sweep in range(3):
        for cell in range(48):
            level = (cell + sweep) % 2
            reading = (5.0, 50.0)[level] * rng.normal(1, 0.1)
            lines.append(f"{sweep},{cell // 6},{cell % 6},{level},{reading:.4f},1")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _checkpoint(path: Path) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    tensors = {f"{n}.weight": torch.randn(8, 6, generator=generator) for n in ("first", "second")}
    torch.save(tensors, path)


def _batch(path: Path) -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (3, 3072), dtype=np.uint8)
    path.write_bytes(pickle.dumps({b"data": images, b"labels": [1, 7, 3]}, protocol=2))
