"""What is done with a mutated file: all of it is read; the digest of all numbers is returned.

Each target names its source, how it is mutated and the function that reads the result. `checked`
targets must not return other numbers than the sound file gives.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutations import mutate_bytes, mutate_json, mutate_text

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way in which rramfit meets a file."""

    source: str
    read: Callable[[Path, Path], str]  # (mutated file, folder of the sources) -> digest
    kind: str  # of the table: measurement, card, …
    checked: bool = False  # whether a changed number must be noticed
    document: bool = False  # whether JSON is mutated, and the card sealed again
    text: bool = False  # whether half of the mutations are of words and lines

    def mutate(self, data: bytes, rng: np.random.Generator) -> bytes:
        """Return the mutated file."""
        if self.text and rng.random() < 0.5:
            return mutate_text(data, rng)
        if not self.document:
            return mutate_bytes(data, rng)
        from rramfit.card.canonical import card_digest

        changed = mutate_json(json.loads(data), rng)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            changed["digest"] = card_digest(changed)
        return json.dumps(changed).encode("utf-8", "surrogatepass")


def _add(digest: Any, value: Any) -> None:
    """Add every number of a record to a digest."""
    if isinstance(value, np.ndarray):
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name != "open_blocks":
                _add(digest, getattr(value, field.name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _add(digest, inner)
    elif not isinstance(value, Path):
        digest.update(repr(value).encode("utf-8", "backslashreplace"))


def _all_of(measurement: Any) -> str:
    digest = hashlib.sha256()
    _add(digest, measurement)
    for part in ("program", "reads", "retention"):
        found = getattr(measurement, part)
        for block in found.blocks() if found is not None else ():
            _add(digest, block)
    return digest.hexdigest()


def _measurement(path: Path, _: Path) -> str:
    from rramfit.measurement import read_measurement

    return _all_of(read_measurement(path))


def _commands(path: Path, _: Path) -> str:
    """Validate, inspect, draft a layout."""
    from rramfit.errors import RramfitError
    from rramfit.measurement import inspect_measurement, validate_layout
    from rramfit.measurement.lab.guess import guess_layout

    problems = [str(p) for p in validate_layout(path)]
    if any(len(p.splitlines()) != 1 for p in problems):
        msg = "a problem of several lines"
        raise ValueError(msg)
    json.dumps(inspect_measurement(path).to_dict())
    with contextlib.suppress(RramfitError):
        guess_layout(path)
    return ""


def _report(path: Path, _: Path) -> str:
    """Characterize, write card, sidecar and report."""
    from rramfit.fitting.characterization import characterize
    from rramfit.reporting import save_report

    result = characterize(path, name="mutated")
    result.save(path.parent)
    save_report(result, path.with_suffix(".html"))
    card = json.loads((path.parent / "mutated.card.json").read_text(encoding="utf-8"))
    return str(card["digest"])


def _card(path: Path, _: Path) -> str:
    from rramfit.card import load_card

    return load_card(path).model_dump_json(exclude={"provenance"})


def _resealed(path: Path, _: Path) -> str:
    """Load the card and draw a chip from it."""
    import torch

    from rramfit.array.devices import DeviceModel
    from rramfit.array.devices.chips import draw_chips
    from rramfit.card import load_card

    model = DeviceModel.from_card(load_card(path))
    generator = torch.Generator().manual_seed(1)
    chips = draw_chips(model, 1, shape=(8, 8), generator=generator)
    chips.program(torch.zeros((1, 8, 8), dtype=torch.int64), generator=generator)
    return ""


def _cells(path: Path, _: Path) -> str:
    from rramfit.card import load_cells

    digest = hashlib.sha256()
    _add(digest, load_cells(path))
    return digest.hexdigest()


def _layout(path: Path, sources: Path) -> str:
    from rramfit.measurement.lab.convert import convert_measurement

    return _all_of(convert_measurement(sources / "log.csv", path).measurements[0])


def _log(path: Path, sources: Path) -> str:
    from rramfit.errors import RramfitError
    from rramfit.measurement.lab.convert import convert_measurement
    from rramfit.measurement.lab.guess import guess_layout

    with contextlib.suppress(RramfitError):
        guess_layout(path)
    return _all_of(convert_measurement(path, sources / "layout.toml").measurements[0])


def _checkpoint(path: Path, _: Path) -> str:
    from rramfit.mapping.layers.tensor_files import load_tensors

    content = load_tensors(path, expected="a network")
    digest = hashlib.sha256()
    for name in sorted(content, key=str):
        value = content[name]
        _add(digest, (name, value.numpy() if hasattr(value, "numpy") else value))
    return digest.hexdigest()


def _cifar(path: Path, _: Path) -> str:
    from rramfit.mapping.study.datasets import load_dataset

    for k in range(1, 6):
        (path.parent / f"data_batch_{k}").write_bytes(_SOUND_BATCH)
    data = load_dataset(path.parent)
    digest = hashlib.sha256()
    _add(digest, (data.test_images.numpy(), data.test_labels.numpy()))
    return digest.hexdigest()


_SOUND_BATCH = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}, protocol=2)

TARGETS: dict[str, Target] = {
    "sealed": Target(source="sealed", read=_measurement, kind="measurement", checked=True),
    "unsealed": Target(source="unsealed", read=_measurement, kind="measurement"),
    "plain": Target(source="plain", read=_measurement, kind="measurement"),
    "commands": Target(source="unsealed", read=_commands, kind="measurement"),
    "report": Target(source="plain", read=_report, kind="measurement"),
    "card": Target(source="card", read=_card, kind="card", checked=True),
    "resealed": Target(source="card", read=_resealed, kind="card", document=True),
    "cells": Target(source="cells", read=_cells, kind="sidecar", checked=True),
    "layout": Target(source="layout", read=_layout, kind="layout", text=True),
    "log": Target(source="log", read=_log, kind="log", text=True),
    "checkpoint": Target(source="checkpoint", read=_checkpoint, kind="checkpoint", checked=True),
    "cifar": Target(source="cifar", read=_cifar, kind="checkpoint"),
}
