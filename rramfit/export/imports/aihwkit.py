"""aihwkit: a noise model as `print` shows it, as a card.

In aihwkit, `print` of a configuration or of its noise model shows all numbers, such as

    ReRamWan2022NoiseModel(g_converter=…(g_max=25.00, g_min=0.00), coeff_dic={1.0: […]}, …)

Its programming noise is a polynomial of the target: std = scale·Σ c_i·x^i [uS], with x the target
relative to g_max (in uS for `ReRamCMONoiseModel`). The text is parsed, never executed. The card has
evenly spaced levels from g_min to g_max.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rramfit.card.quantity import Quantity
from rramfit.card.schema import DriftCard, ModelCard, RetentionCard, VariationCard
from rramfit.errors import InputError
from rramfit.export.importing import Importer, StatedArray, StatedLevel, stated_card

__all__ = ["IMPORTER", "LEVELS"]

LEVELS = 8
"""Levels of the card; a noise model has a continuum."""

_MODELS = ("ReRamWan2022NoiseModel", "ReRamCMONoiseModel", "PCMLikeNoiseModel")
_EXPECTED = f"the printed text of a noise model of aihwkit: {', '.join(_MODELS)}"
_LONGEST = 86400.0  # [s] to which the relaxation of ReRamCMONoiseModel is continued
_MOST_BYTES = 1_000_000


def _read(path: Path, array: StatedArray) -> ModelCard:
    name, fields = _fields(path)
    converter = fields.get("g_converter", {})
    low = _number(path, "g_min", converter.get("g_min", fields.get("g_min", 0.0)))
    high = _number(path, "g_max", converter.get("g_max", fields.get("g_max")))
    if not 0 <= low < high:
        raise InputError(
            path, "g_min, g_max", found=f"{low:g}, {high:g}", expected="0 <= g_min < g_max [uS]"
        )
    g = np.linspace(low, high, LEVELS)
    findings = [f"Targets are continuous; the card has {LEVELS} evenly spaced ones."]
    retention: RetentionCard | None = None
    if name == "PCMLikeNoiseModel":
        scale = _number(path, "prog_noise_scale", fields.get("prog_noise_scale", 1.0))
        scale *= high / _number(
            path, "prog_coeff_g_max_reference", fields.get("prog_coeff_g_max_reference", high)
        )
        std = scale * _polynomial(path, "prog_coeff", fields.get("prog_coeff"), g / high)
        findings.append(
            "Drift is a power of time with a separate exponent for each cell, and read noise "
            "grows with time; the card has neither."
        )
    elif name == "ReRamCMONoiseModel":
        tables = _table(path, "coeff_dict", fields.get("coeff_dict"))
        accepted = fields.get("acceptance_range")
        key = accepted if accepted in tables else min(tables)
        scale = _number(path, "prog_noise_scale", fields.get("prog_noise_scale", 1.0))
        std = scale * _polynomial(path, "coeff_dict", tables[key], g)
        retention = _relaxation(path, fields)
    else:
        tables = _table(path, "coeff_dic", fields.get("coeff_dic"))
        scale = _number(path, "noise_scale", fields.get("noise_scale", 1.0))
        scale *= high / _number(
            path, "coeff_g_max_reference", fields.get("coeff_g_max_reference", high)
        )
        of_time = {
            t: scale * _polynomial(path, "coeff_dic", tables[t], g / high) for t in sorted(tables)
        }
        std = of_time[min(of_time)]
        retention = _growing(of_time)
        if len(of_time) > 1:
            findings.append(
                "The noise is given at single times only; the card interpolates over ln t."
            )
    std = np.abs(std) * 1e-6
    levels = [StatedLevel(mean=float(x) * 1e-6, std=float(s)) for x, s in zip(g, std, strict=True)]
    given = Quantity.given
    further: dict[str, Any] = {
        "variation": [
            VariationCard(
                level=k,
                domain="linear",
                d2d=given(0.0, "S"),
                c2c=given(float(s), "S"),
                c2c_includes_read=False,
            )
            for k, s in enumerate(std)
        ]
    }
    if retention is not None:
        further["retention"] = retention
    remedies = ["Use `rramfit card take` to keep the levels that the other card has."]
    return stated_card(
        path,
        levels,
        importer=IMPORTER,
        array=array,
        name=name,
        findings=findings,
        remedies=remedies,
        further=further,
    )


def _fields(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the class and the fields of a printed object."""
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            raise InputError(path, "", found=f"{len(data)} bytes", expected=_EXPECTED)
        tree = ast.parse(data.decode("utf-8-sig").strip(), mode="eval").body
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as e:
        raise InputError(path, "", found=str(e), expected=_EXPECTED) from None
    calls = [x for x in ast.walk(tree) if isinstance(x, ast.Call)]
    named = [(x.func.id, x) for x in calls if isinstance(x.func, ast.Name)]
    models = [(name, call) for name, call in named if name in _MODELS]
    if len(models) != 1:
        found = "no printed object" if not named else f"a {named[0][0]}"
        found = f"{len(models)} noise models" if len(models) > 1 else found
        raise InputError(path, "", found=found, expected=_EXPECTED)
    return models[0][0], _keywords(path, models[0][1])


def _keywords(path: Path, call: ast.Call) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in call.keywords:
        if one.arg is None:
            continue
        if isinstance(one.value, ast.Call):
            found[one.arg] = _keywords(path, one.value)
            continue
        try:
            found[one.arg] = ast.literal_eval(one.value)
        except (ValueError, TypeError, RecursionError):
            raise InputError(
                path, one.arg, found="something else than a number", expected=_EXPECTED
            ) from None
    return found


def _number(path: Path, name: str, value: Any) -> float:
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not (right and math.isfinite(value)):
        raise InputError(path, name, found=repr(value), expected="a number")
    return float(value)


def _polynomial(path: Path, name: str, coefficients: Any, x: Any) -> Any:
    if not isinstance(coefficients, list) or not coefficients:
        raise InputError(path, name, found=repr(coefficients), expected="a list of coefficients")
    numbers = [_number(path, name, c) for c in coefficients]
    return np.polynomial.polynomial.polyval(x, numbers)


def _table(path: Path, name: str, value: Any) -> dict[float, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError(path, name, found=repr(value), expected="coefficients by time or range")
    return {_number(path, name, key): coefficients for key, coefficients in value.items()}


def _relaxation(path: Path, fields: dict[str, Any]) -> RetentionCard:
    """Return the card of a shift of d·ln t and a std of a·ln t + b [uS], t in seconds."""
    decay = fields.get("decay_dict")
    if not isinstance(decay, dict):
        raise InputError(path, "decay_dict", found=repr(decay), expected="mean and std")
    scale = _number(path, "drift_scale", fields.get("drift_scale", 1.0))
    shift = scale * _listed(path, "decay_dict, mean", decay.get("mean"), 1)[0]
    a, b = (scale * x for x in _listed(path, "decay_dict, std", decay.get("std"), 2))
    x = math.log(_LONGEST)
    growth = math.sqrt(max((a * x + b) ** 2 - b**2, 0.0) / x)
    given = Quantity.given
    return RetentionCard(
        reference_time=given(1.0, "s"),
        longest_time=given(_LONGEST, "s"),
        levels=[
            DriftCard(
                level=k,
                first_step=given(0.0, "S"),
                first_spread=given(abs(b) * 1e-6, "S"),
                drift=given(shift * 1e-6, "S"),
                growth=given(growth * 1e-6, "S"),
            )
            for k in range(LEVELS)
        ],
    )


def _listed(path: Path, name: str, value: Any, count: int) -> Sequence[float]:
    if not isinstance(value, list) or len(value) < count:
        raise InputError(path, name, found=repr(value), expected=f"a list of {count} numbers")
    return [_number(path, name, x) for x in value[:count]]


def _growing(of_time: dict[float, Any]) -> RetentionCard | None:
    """Return the variance that is added until the later times; [uS] by time, level."""
    times = sorted(of_time)
    if len(times) < 2 or times[1] <= 0:
        return None
    start, first, last = (of_time[t] ** 2 for t in (times[0], times[1], times[-1]))
    over = math.log(times[-1] / times[1])
    growth = np.maximum(last - first, 0.0) / over if over > 0 else np.zeros_like(first)
    given = Quantity.given
    return RetentionCard(
        reference_time=given(times[1], "s"),
        longest_time=given(times[-1], "s"),
        levels=[
            DriftCard(
                level=k,
                first_step=given(0.0, "S"),
                first_spread=given(1e-6 * math.sqrt(max(first[k] - start[k], 0.0)), "S"),
                drift=given(0.0, "S"),
                growth=given(1e-6 * math.sqrt(growth[k]), "S"),
            )
            for k in range(LEVELS)
        ],
    )


IMPORTER = Importer(
    name="aihwkit",
    title="IBM aihwkit",
    reads="the printed text of a noise model, or of a configuration that has one",
    read=_read,
)
