"""CrossSim 3: the JSON of `CrossSimParameters.to_json` as a card.

A normalized conductance of 1 is 1/Rmin. With `cell_bits` the card has 2^bits evenly spaced levels,
else the two ends of the range. The generic errors are

    independent    std = magnitude/Rmin          proportional    std = magnitude·G

and a uniform error of width w has the std w/√12. Other device models are code: CrossSim draws them
if it is installed (`simulator` can be imported), else the card lacks their spread.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineCard, ModelCard, ReadNoiseCard, ReadoutCard, VariationCard
from rramfit.errors import InputError
from rramfit.export.importing import Importer, StatedArray, StatedLevel, stated_card

__all__ = ["IMPORTER"]

_EXPECTED = "the JSON that CrossSimParameters.to_json writes, with xbar.device"
_MOST_BITS = 8
_DRAWS = 40_000
_IDEAL = "IdealDevice"


class _Fields:
    """Numbers of a JSON document by their path, checked as they are read."""

    def __init__(self, path: Path, content: Any) -> None:
        self.path, self.content = path, content

    def get(self, name: str, default: Any) -> Any:
        at = self.content
        for part in name.split("."):
            at = at.get(part) if isinstance(at, dict) else None
        return default if at is None else at

    def number(self, name: str, default: float, *, least: float = 0.0) -> float:
        value = self.get(name, default)
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if not (right and math.isfinite(value) and value >= least):
            raise InputError(
                self.path, name, found=repr(value), expected=f"a number of at least {least:g}"
            )
        return float(value)


def _read(path: Path, array: StatedArray) -> ModelCard:
    fields = _Fields(path, _content(path))
    device = "xbar.device."
    r_min = fields.number(device + "Rmin", 1000.0, least=1e-3)
    r_max = fields.number(device + "Rmax", 10000.0, least=1e-3)
    if r_max <= r_min:
        raise InputError(path, device + "Rmax", found=f"{r_max:g}", expected=f"more than {r_min:g}")
    high = 1 / r_min
    low = 0.0 if fields.get(device + "infinite_on_off_ratio", False) else 1 / r_max
    bits = fields.number(device + "cell_bits", 0)
    if bits != int(bits) or bits > _MOST_BITS:
        raise InputError(
            path, device + "cell_bits", found=f"{bits:g}", expected=f"0 to {_MOST_BITS}"
        )
    mean = np.linspace(low, high, 2 ** max(int(bits), 1))
    findings, remedies = [], []
    if bits == 0:
        findings.append("cell_bits is 0: cells take any conductance, and the card has both ends.")
        remedies.append("Set cell_bits to the number of levels to compare.")
    time = fields.number(device + "time", 0.0)
    error = "drift_error" if time > 0 else "programming_error"
    std, model = _spread(fields, error, mean, time)
    if std is None:
        findings.append(f"The spread of levels is code of the device model {model}.")
        remedies.append("Install CrossSim where rramfit runs, and import again.")
    read, kind = _spread(fields, "read_noise", mean, time)
    if read is None:
        findings.append(f"The read noise is code of the device model {kind}.")
        remedies.append("Install CrossSim where rramfit runs, and import again.")
    if fields.get(device + "nonlinear_IV.enable", False):
        findings.append("The I-V curve is code of a device model, and the card has none.")
        remedies.append("Fit I-V curves of a measurement instead.")
    levels = [
        StatedLevel(mean=float(g), std=None if std is None else float(std[k]))
        for k, g in enumerate(mean)
    ]
    further: dict[str, Any] = {
        "line": _line(fields),
        "readout": _readout(fields, r_min),
        "variation": _variation(std, read),
        "read_noise": _read_noise(mean, read),
    }
    return stated_card(
        path,
        levels,
        importer=IMPORTER,
        array=array,
        findings=findings,
        remedies=remedies,
        further={k: v for k, v in further.items() if v is not None},
    )


def _content(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as e:
        raise InputError(path, "", found=str(e), expected=_EXPECTED) from None
    if not isinstance(content, dict) or not isinstance(content.get("xbar"), dict):
        raise InputError(path, "xbar", found="no object of this name", expected=_EXPECTED)
    return content


def _spread(
    fields: _Fields, error: str, mean: np.ndarray, time: float
) -> tuple[np.ndarray | None, str]:
    """Return the std of an error at every level [S], None if it is unknown, and its model."""
    at = f"xbar.device.{error}."
    model = str(fields.get(at + "model", _IDEAL))
    if not fields.get(at + "enable", False) or model == _IDEAL:
        return np.zeros_like(mean), model
    magnitude = fields.number(at + "magnitude", 0.0)
    if model.startswith("Uniform"):
        magnitude /= math.sqrt(12)
    if model.endswith("IndependentDevice"):
        return np.full_like(mean, magnitude * mean[-1]), model
    if model.endswith("InverseProportionalDevice"):
        with np.errstate(divide="ignore"):
            inverse = magnitude * mean[-1] ** 2 / mean
        return np.where(mean > 0, inverse, 0.0), model
    if model.endswith("ProportionalDevice"):
        return magnitude * mean, model
    return _drawn(fields, error, mean, time), model


def _drawn(fields: _Fields, error: str, mean: np.ndarray, time: float) -> np.ndarray | None:
    """Return the std of draws in CrossSim, None if it is not installed or refuses the device."""
    try:
        from simulator import CrossSimParameters  # type: ignore[import-not-found]
        from simulator.backend import ComputeBackend  # type: ignore[import-not-found]
        from simulator.devices.device import Device  # type: ignore[import-not-found]

        ComputeBackend(use_gpu=False)
        params = CrossSimParameters(xbar={"device": fields.get("xbar.device", {})})
        device = Device.create_device(params.xbar.device)
        state = np.random.get_state()  # noqa: NPY002  # CrossSim draws from numpy's global state
        np.random.seed(0)  # noqa: NPY002
        try:
            cells = np.repeat(mean[:, None] / mean[-1], _DRAWS, axis=1)
            function = getattr(device, error)
            drawn = function(cells, time) if error == "drift_error" else function(cells)
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return np.asarray(drawn.std(axis=1) * mean[-1])
    except (ImportError, ValueError, KeyError, TypeError, NotImplementedError):
        return None


def _line(fields: _Fields) -> LineCard | None:
    at = "xbar.array.parasitics."
    if not fields.get(at + "enable", False):
        return None
    row, col = (fields.number(at + name, 0.0) for name in ("Rp_row", "Rp_col"))
    ends = [fields.number(at + name, 0.0) for name in ("Rp_row_terminal", "Rp_col_terminal")]
    given = Quantity.given
    return LineCard(
        wordline_resistance=given(row, "ohm"),
        bitline_resistance=given(col, "ohm"),
        driver_resistance=given(row + ends[0], "ohm"),
        sense_resistance=given(col + ends[1], "ohm"),
        inactive_rows="grounded" if fields.get(at + "current_from_input", True) else "gated",
    )


def _readout(fields: _Fields, r_min: float) -> ReadoutCard | None:
    at = "xbar.adc.mvm."
    bits = fields.number(at + "bits", 0)
    bounds = fields.get(at + "calibrated_range", [])
    numbers = isinstance(bounds, list) and len(bounds) == 2
    if not numbers or not all(isinstance(x, int | float) for x in bounds) or not 1 <= bits <= 24:
        return None
    unit = fields.number("xbar.device.Vread", 0.1) / r_min
    full_scale = max(abs(x) for x in bounds) * unit
    if not (math.isfinite(full_scale) and full_scale > 0):
        return None
    return ReadoutCard(bits=int(bits), full_scale=Quantity.given(full_scale, "A"))


def _variation(std: np.ndarray | None, read: np.ndarray | None) -> list[VariationCard] | None:
    if std is None:
        return None
    given = Quantity.given
    noisy = read is not None and bool(read.any())
    return [
        VariationCard(
            level=k,
            domain="linear",
            d2d=given(0.0, "S"),
            c2c=given(float(value), "S"),
            read=given(float(read[k]), "S") if noisy and read is not None else None,
            c2c_includes_read=False,
        )
        for k, value in enumerate(std)
    ]


def _read_noise(mean: np.ndarray, read: np.ndarray | None) -> ReadNoiseCard | None:
    if read is None or not read.any():
        return None
    exponent = -1.0 if np.allclose(read, read[-1]) else 0.0
    given = Quantity.given
    return ReadNoiseCard(
        coefficient=given(float(read[-1] / mean[-1]), "1"),
        exponent=given(exponent, "1"),
        reference_conductance=given(float(mean[-1]), "S"),
    )


IMPORTER = Importer(
    name="crosssim",
    title="CrossSim 3",
    reads="the JSON that CrossSimParameters.to_json writes",
    read=_read,
)
