"""No quantity of a card is left out of drawn chips in silence."""

import dataclasses
import types
import typing
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from rramfit.array import DeviceModel, draw_channels
from rramfit.array.devices.card_use import DESCRIBED, DRAWN, LEFT_OUT, left_out
from rramfit.card import ModelCard, Quantity, load_card
from rramfit.card.quality import Provenance, Quality
from rramfit.mapping import analog_setup

APART = {Quality, Provenance}  # about the card, not about cells


def numbers(model: type[BaseModel], path: str = "") -> set[str]:
    """Dotted paths of every quantity and real number of a part of the schema."""
    found = set()
    for name, info in model.model_fields.items():
        found |= _of(info.annotation, f"{path}.{name}".lstrip("."))
    return found


def _of(annotation: object, path: str) -> set[str]:
    if annotation in (Quantity, float):
        return {path}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return set() if annotation in APART else numbers(annotation, path)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, list, dict, tuple, typing.Annotated):
        return set().union(*(_of(x, path) for x in typing.get_args(annotation)))
    return set()


def test_every_quantity_is_drawn_described_or_named():
    known = DRAWN | DESCRIBED | LEFT_OUT.keys()
    assert numbers(ModelCard) == known
    assert len(DRAWN) + len(DESCRIBED) + len(LEFT_OUT) == len(known)


def fingerprint(card: ModelCard) -> list[object]:
    """Everything that drawn chips, their wires and their read-out depend on."""
    model = DeviceModel.from_card(card)
    out: list[object] = []

    def add(value: object) -> None:
        if isinstance(value, torch.Tensor | np.ndarray):
            out.extend(np.asarray(value, dtype=np.float64).ravel().tolist())
        elif dataclasses.is_dataclass(value):
            for f in dataclasses.fields(value):
                if f.name not in ("assumptions", "readout", "_means", "name"):
                    add(getattr(value, f.name))
        elif isinstance(value, tuple | list):
            for x in value:
                add(x)
        elif isinstance(value, Mapping):
            for x in value.values():
                add(x)
        elif isinstance(value, float | int):
            out.append(float(value))

    add(model)
    if card.temperature is not None:
        hot = DeviceModel.from_card(card, temperature=380.0).ageing.law
        add([hot.reference_time, hot.mean(1e5), hot.log_mean(1e5), hot.variance(1e5)])
    if card.readout is not None:
        add(draw_channels(card.readout, 2, 4, generator=torch.Generator().manual_seed(1)))
    setup = analog_setup(card, tile=(16, 16), wires_by="exact")
    for name in ("r_driver", "r_wl", "r_bl", "r_sense"):
        add(getattr(setup.line, name, 0.0))
    return [x if x == x else "nan" for x in out]


def changed(value: object, path: list[str]) -> object:
    """The same content with one number 1.3 times as large, wherever the path leads."""
    if isinstance(value, list):
        return [changed(x, path) for x in value]
    if isinstance(value, dict) and not path and "value" in value:
        return value | {"value": 1.3 * value["value"] + 1e-9, "stderr": None, "ci95": None}
    if isinstance(value, dict) and not path:
        return {k: changed(v, []) for k, v in value.items()}
    if isinstance(value, dict):
        return {k: changed(v, path[1:]) if k == path[0] else v for k, v in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0.9 * value
    return value


@pytest.fixture(scope="module")
def full(repo) -> ModelCard:
    """The reference card, with a value for every quantity that is drawn."""
    content = load_card(repo / "fits/reference-1.0.0.card.json").model_dump(mode="json")
    return complete(content)


def complete(content: dict) -> ModelCard:
    g = {"value": 20e-6, "stderr": None, "ci95": None, "unit": "S", "between": None}

    def given(value: float, unit: str = "1") -> dict:
        return g | {"value": value, "unit": unit}

    for level in content["levels"]:
        mean = level["mean"]["value"]
        level["lower"], level["upper"] = given(0.7 * mean, "S"), given(1.4 * mean, "S")
    for v in content["variation"]:
        v["lines"] = [{"axis": "col", "period": 1, "std": given(0.3 * v["d2d"]["value"], "S")}]
        v["spatial"]["correlation_length"] = given(6.0)
        v["spatial"]["share"] = given(0.3)
    count = len(content["levels"])
    content["line_correlation"] = (0.5 * np.eye(count) + 0.5).tolist()
    for f in content["failure"]:
        f["conductance"] = given(3e-6, "S")
    for side in ("low", "middle", "high"):
        at = {"low": 2e-6, "middle": 120e-6, "high": 320e-6}[side]
        content["stuck"] |= {
            side: given(0.002),
            f"{side}_conductance": given(at, "S"),
            f"{side}_std": given(0.1 * at, "S"),
            f"{side}_moving": given(0.5),
            f"{side}_motion": given(0.2 * at, "S"),
        }
    content["read_noise"]["spectral_exponent"] = given(1.1)
    content["read_noise"]["disturb"] = {
        "reads": 100,
        "separated": True,
        "levels": [
            {
                "level": k,
                "n_cells": 40,
                "rate": given(1e-9, "S") | {"stderr": 1e-10, "ci95": [0.8e-9, 1.2e-9]},
                "left": given(0.01),
            }
            for k in range(count)
        ],
    }
    content["read_noise"]["off_level"] = {
        "n_cells": 40,
        "coefficient": given(0.03),
        "exponent": given(-0.5),
        "reference_conductance": given(20e-6, "S"),
    }
    state = {"state": 0, "mean": given(5e-6, "S"), "std": given(1e-6, "S")}
    content["endurance"] = {"first_cycle": 1, "longest_cycle": 1000, "states": [state]}
    return ModelCard.model_validate(content)


@pytest.mark.parametrize("path", sorted(DRAWN))
def test_what_is_drawn_changes_chips(path, full):
    content = full.model_dump(mode="json")
    content = prepared(content, path)
    before = ModelCard.model_validate(content)
    after = ModelCard.model_validate(changed(content, path.split(".")))
    assert after != before, "the reference card has no such quantity"
    assert fingerprint(after) != fingerprint(before)


def prepared(content: dict, path: str) -> dict:
    """Remove the quantity that takes precedence, so that the one under test is used."""
    quantity = {"stderr": None, "ci95": None, "between": None}
    for level in content["levels"]:
        if path in ("levels.mean", "levels.std"):
            level["distribution"] = None
    for f in content["failure"]:
        if path == "failure.probability":
            f["hard"] = f["soft"] = None
    if path.startswith("read_noise."):
        for v in content["variation"]:
            v["read"] = None
        content["read_noise"]["reference_conductance"] = quantity | {"value": 50e-6, "unit": "S"}
        content["read_noise"]["exponent"] = quantity | {"value": -0.4, "unit": "1"}
    if path.startswith("temperature."):
        content["temperature"] = baked(path)
    if path == "variation.c2c":
        for v in content["variation"]:
            v["d2d"] = None
    if content["iv"] is not None and path.startswith("iv."):
        slope = path == "iv.slope"
        content["iv"]["reference_conductance"] = quantity | {"value": 50e-6, "unit": "S"}
        content["iv"]["dependence"] = quantity | {"value": -0.1, "unit": "1/V"}
        content["iv"]["slope"] = quantity | {"value": 1e3, "unit": "1/(V·S)"} if slope else None
        content["iv"]["spread"] = quantity | {"value": 0.05, "unit": "1/V"}
    readout = content["readout"]
    if path == "readout.full_scale":
        readout["gain"] = None
    if path == "readout.inl":
        readout["third_order"] = None
        readout["channel_inl"] = []
    if path in ("readout.gain", "readout.gain_spread", "readout.offset", "readout.offset_spread"):
        readout["channel_gain"] = readout["channel_offset"] = []
    return content


def baked(path: str) -> dict:
    """Several bakes; levels have energies of their own where these are under test."""

    def given(value: float, unit: str) -> dict:
        return {"value": value, "unit": unit}

    def law(scale: float, unit: str) -> dict:
        own = given(1.1, "eV") if path.endswith("levels.activation_energy") else None
        assumed = path.endswith("assumed_energy")
        level = {
            "step": given(0.01 * scale, unit),
            "step_rate": given(0.02 * scale, unit),
            "rate": given(0.01 * scale, unit),
            "activation_energy": own,
        }
        return {
            "domain": "linear",
            "by_factor": 0.55 if path == "temperature.drift.by_factor" else None,
            "accelerates": "rate",
            "exponent": given(0.2, "1"),
            "fitted_exponent": True,
            "activation_energy": None if assumed else given(0.9, "eV"),
            "assumed_energy": given(0.9, "eV") if assumed else None,
            "common": own is None,
            "levels": [{"level": k, **level} for k in range(2)],
        }

    return {
        "reference_temperature": given(358.15, "K"),
        "reference_time": given(60.0, "s"),
        "longest_time": given(86400.0, "s"),
        "drift": law(-1e-6, "S"),
        "growth": law(1e-10, "S²"),
    }


@pytest.mark.parametrize(
    "path",
    [
        "read_noise.spectral_exponent",
        "read_noise.disturb.levels.left",
        "retention.temperature",
        "endurance.states.mean",
    ],
)
def test_what_is_left_out_is_named_among_the_assumptions(path, full):
    sentence = LEFT_OUT[path](full)
    assert sentence is not None
    assert sentence in left_out(full)
    assert sentence in DeviceModel.from_card(full).assumptions
