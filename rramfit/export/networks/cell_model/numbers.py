"""The numbers that `files/rram_cells.py` draws cells from: a card solved for its sampler.

They are those of `rramfit.array.devices.device_model.DeviceModel`, written as JSON. Quantile
functions have fewer knots here than there, and the ageing of states is a table over ln(t/t0).
"""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.export.contract import ExportError
from rramfit.export.drawn import read_voltage

if TYPE_CHECKING:
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.card.schema import ModelCard

__all__ = [
    "CELLS_MODULE",
    "CELLS_NUMBERS",
    "card_numbers",
    "cell_files",
    "wires_of",
]

Floats = NDArray[np.float64]

CELLS_MODULE = "rram_cells.py"
CELLS_NUMBERS = "rram_cells.json"

KNOTS = 513
"""Knots of each quantile function; linear between them, 7e-5 of its second derivative off."""

LEAST = 1e-12
"""[S] The lowest level must conduct: cells are drawn relative to their level's mean."""

TIMES = 17
"""Knots of the ageing over ln(t/t0)."""

DIGITS = 9
"""Significant digits of the numbers; an interval never needs more."""


def cell_files(card: ModelCard) -> dict[str, str]:
    """Return the module that draws the cells of a card, and its numbers."""
    module = resources.files("rramfit.export.networks.cell_model").joinpath("files", CELLS_MODULE)
    numbers = json.dumps(card_numbers(card), indent=1) + "\n"
    return {CELLS_MODULE: module.read_text(encoding="utf-8"), CELLS_NUMBERS: numbers}


def card_numbers(card: ModelCard) -> dict[str, Any]:
    """Return the numbers of `rram_cells.json`.

    Raises
    ------
    ExportError
        If the card has fewer than two levels, or levels that do not rise.
    ArrayError
        If a level has a distribution that is no distribution.
    """
    import torch

    from rramfit.array.devices.device_model import DeviceModel

    _check_levels(card)
    m = DeviceModel.from_card(card, dtype=torch.float64)
    mean = m.mean.numpy()
    off_level = None if m.read_noise.off_level is None else list(m.read_noise.off_level)
    step = (m.quantiles.shape[1] - 1) // (KNOTS - 1)
    levels = {
        "mean": mean,
        "target": m.target.numpy(),
        "quantiles": m.quantiles.numpy()[:, ::step],
        "between": m.between.numpy(),
        "field_share": m.share.numpy(),
        "lengths": np.asarray(m.levels.lengths),
        "mixing": m.mixing.numpy(),
        "line_mixing": m.line_mixing.numpy(),
        "row_trend": m.row_trend.numpy(),
        "col_trend": m.col_trend.numpy(),
        "read_scale": m.read_noise.scale.numpy(),
        "read_reference": m.read_noise.reference.numpy(),
        "hard": m.faults.hard.numpy(),
        "soft": m.faults.soft.numpy(),
        "failed_median": m.faults.failed_median.numpy(),
    }
    return {
        "card": {"name": card.name, "revision": card.revision, "digest": card.digest},
        "reach": 6.0,
        "read_voltage": abs(read_voltage(card)),
        "levels": {name: _rounded(value) for name, value in levels.items()},
        "lines": [
            {"axis": x.axis, "period": x.period, "share": _rounded(x.share)} for x in m.levels.lines
        ],
        "faults": {
            **{
                side: {
                    name: float(getattr(state, name))
                    for name in ("share", "conductance", "spread", "moving", "motion")
                }
                for side, state in zip(("low", "high", "middle"), _states(m), strict=True)
            },
            "dead_rows": m.faults.dead_rows,
            "dead_cols": m.faults.dead_cols,
        },
        "read_noise": {"power": m.read_noise.power, "off_level": off_level},
        "ageing": _ageing(card, m),
        "conduction": _conduction(m),
        "wires": wires_of(card),
    }


def _check_levels(card: ModelCard) -> None:
    given = [q.value for x in card.levels if (q := x.mean or x.target) is not None]
    if len(given) < 2 or given[0] < LEAST or (np.diff(given) <= 0).any():
        found = ", ".join(f"{1e6 * x:.4g}" for x in given) or "none"
        msg = (
            f"card {card.name} has level means of {found} uS; expected at least two, positive and "
            "rising. Use `rramfit card take --levels` to keep the levels that hold weights"
        )
        raise ExportError(msg)


def _states(m: DeviceModel) -> list[Any]:
    from rramfit.card.cells import Fault

    return [m.faults.stuck[x] for x in (Fault.STUCK_LOW, Fault.STUCK_HIGH, Fault.STUCK_MIDDLE)]


def _ageing(card: ModelCard, m: DeviceModel) -> dict[str, Any]:
    t0 = m.ageing.reference_time
    longest = card.retention.longest_time.value if card.retention else 10 * t0
    log_time = np.linspace(0.0, max(math.log(longest / t0), 1.0), TIMES)
    times = [t0 * math.exp(x) for x in log_time]
    moves = [m.state_ageing.moves(t) for t in times]
    # Where a law multiplies states, these files move them by what that does to their mean.
    lost = np.stack([(m.mean * (m.state_ageing.ratio(t) - 1)).numpy() for t in times], axis=1)
    return {
        "reference_time": t0,
        "log_time": _rounded(log_time),
        "shift": _rounded(np.stack([c.numpy() for c, _ in moves], axis=1) + lost),
        "variance": _rounded(np.stack([v.numpy() for _, v in moves], axis=1)),
        "scale": _rounded(m.state_ageing.scale.numpy()),
    }


def _conduction(m: DeviceModel) -> dict[str, float] | None:
    model = m.conduction
    if model is None:
        return None
    return {
        name: float(getattr(model, name))
        for name in ("nonlinearity", "dependence", "slope", "reference")
    }


def wires_of(card: ModelCard) -> dict[str, float]:
    """Return the wire resistances of a card [ohm]; 0 if it has none."""
    line = card.line

    def ohm(name: str) -> float:
        q = None if line is None else getattr(line, f"{name}_resistance")
        return 0.0 if q is None else max(float(q.value), 0.0)

    return {
        "row": ohm("wordline"),
        "col": ohm("bitline"),
        "driver": ohm("driver"),
        "sense": ohm("sense"),
    }


def _rounded(value: Floats) -> Any:
    """Return an array as lists of numbers of `DIGITS` digits; NaN becomes null."""

    def number(x: float) -> float | None:
        return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None

    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 1:
        return [number(x) for x in array.tolist()]
    return [_rounded(row) for row in array]
