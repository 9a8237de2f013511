"""XBTorch 1.0: jump tables for its TabularDevice, and the arguments of its accelerator.

A TabularDevice takes three tables each for SET and RESET: an axis of conductance, an axis of its
change, and for every conductance the distribution function of the change by one pulse. Here one
pulse is one programming to the next level above (SET) or below (RESET) the nearest one:

    F(ΔG | G) = F_k(G + ΔG),   k the level above or below that of G

so that `max_level` pulses lead from the lowest level to the highest. F_k is the distribution of the
states of level k, of d2d and c2c together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.export.card_values import value_of
from rramfit.export.contract import Export, Exporter, ExportError, Limit
from rramfit.export.drawn import read_voltage
from rramfit.export.level_statistics import level_statistics
from rramfit.export.limits import limits

if TYPE_CHECKING:
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "jump_tables"]

Floats = NDArray[np.float64]

_STATES, _CHANGES = 401, 801
_OUTERMOST = 1e-3  # share of the outermost levels beyond the axis

_MODULE = '''"""A card for XBTorch 1.0: `device()` and `accelerator()`."""

import json
import pathlib

from xbtorch.deployment import base
from xbtorch.devices.base import TabularDevice

FOLDER = pathlib.Path(__file__).parent
PARAMETERS = json.loads((FOLDER / "accelerator.json").read_text())


def device():
    """Return the device for hardware-aware training: one pulse is one level."""
    names = ("reset_g", "reset_dg", "reset_cdf", "set_g", "set_dg", "set_cdf")
    tables = {name: str(FOLDER / f"{name}.txt") for name in names}
    return TabularDevice(**tables, max_level=PARAMETERS["max_level"])


def accelerator(kind="SimpleFixedPoint", **options):
    """Return an accelerator of XBTorch with the card's range, noise, drift and stuck cells."""
    arguments = {k: v for k, v in PARAMETERS.items() if k != "max_level"}
    arguments["xb_size"] = tuple(arguments["xb_size"])
    return base.ACCELERATOR_REGISTRY[kind](**{**arguments, **options})


if __name__ == "__main__":
    d = device()
    print(f"{d.max_level} pulses from {float(d.min_conductance)} S to {float(d.max_conductance)} S")
'''


def jump_tables(model: DeviceModel, *, up: bool) -> tuple[Floats, Floats, Floats]:
    """Return the axis of conductance, that of its change, and the table of one kind of pulse.

    Parameters
    ----------
    model : DeviceModel
    up : bool
        SET, to the next level above; else RESET, to the next below.

    Returns
    -------
    state : (n,) array
        [S]
    change : (m,) array
        [S]
    cdf : (n, m) array
        Distribution function of the change, by state.
    """
    from scipy import special

    quantiles = model.quantiles.numpy()
    knots = np.linspace(-6.0, 6.0, quantiles.shape[1])
    edge = float(special.ndtri(1 - _OUTERMOST))
    low = max(float(np.interp(-edge, knots, quantiles[0])), 1e-3 * float(model.mean[0]))
    high = float(np.interp(edge, knots, quantiles[-1]))
    state = np.linspace(low, high, _STATES)
    change = np.linspace(low - high, high - low, _CHANGES)
    mean = model.mean.numpy()
    nearest = np.abs(state[:, None] - mean).argmin(axis=1)
    target = np.clip(nearest + (1 if up else -1), 0, len(mean) - 1)
    cdf = np.empty((_STATES, _CHANGES))
    for i, k in enumerate(target):
        # a level without any spread has equal quantiles: its step is where they are
        rising = np.maximum.accumulate(quantiles[k] + np.arange(len(knots)) * 1e-18)
        z = np.interp(state[i] + change, rising, knots, left=-40.0, right=40.0)
        cdf[i] = special.ndtr(z)
    return state, change, cdf


def _text(table: Floats) -> str:
    rows = table if table.ndim == 2 else table[:, None]
    return "\n".join(" ".join(f"{x:.7g}" for x in row) for row in rows) + "\n"


def _accelerator(card: ModelCard) -> tuple[dict[str, Any], list[Limit]]:
    s = level_statistics(card)
    stuck, kept = card.stuck, card.retention
    shares = [value_of(stuck, side) for side in ("low", "high", "middle")]
    drift = [
        -d.drift.value / m
        for d in (kept.levels if kept else [])
        if d.drift is not None
        for m in [next((x.mean.value for x in card.levels if x.index == d.level and x.mean), 0.0)]
        if m
    ]
    read, write = float(np.sqrt((s.read**2).mean())), float(np.sqrt((s.state_std**2).mean()))
    found = [
        Limit(
            what="The accelerator has one write noise and one read noise for all levels; read "
            "noise is uniform, with the same standard deviation.",
            size=f"write {s.state_std.min():.2g} S to {s.state_std.max():.2g} S, read "
            f"{s.read.min():.2g} S to {s.read.max():.2g} S over the levels",
        )
    ]
    if sum(shares) > 0:
        listed = ", ".join(
            f"{100 * x:.2g} % {side}"
            for x, side in zip(shares, ("low", "high", "between"), strict=True)
        )
        found.append(Limit(what="Half of the stuck cells are low and half are high.", size=listed))
    if drift:
        found.append(
            Limit(
                what="Retention is a power of time with one exponent.",
                size=f"exponents {min(drift):.2g} to {max(drift):.2g} over the levels",
            )
        )
    t0 = 1.0 if kept is None else kept.reference_time.value
    return {
        "g_min": float(s.mean[0]),
        "g_max": float(s.mean[-1]),
        "v_read": read_voltage(card),
        "read_noise": read * 3**0.5,
        "write_noise": write,
        "stateful": True,
        "xb_size": [card.array.cols, card.array.rows],
        "stuck_percentage": sum(shares),
        "stuck_mode": "ideal",
        "retention_time": t0,
        "drift_t0": t0,
        "drift_coefficient": float(np.mean(drift)) if drift else 0.0,
        "max_level": len(card.levels) - 1,
    }, found


def _export(card: ModelCard, _options: Mapping[str, Any]) -> Export:
    import torch

    from rramfit.array.devices.device_model import DeviceModel

    model = DeviceModel.from_card(card, dtype=torch.float64)
    if model.n_levels < 2 or not (np.diff(model.mean.numpy()) > 0).all() or model.mean[0] <= 0:
        msg = (
            "XBTorch needs at least two levels with rising means above 0 S. Select them with "
            "`rramfit card take`."
        )
        raise ExportError(msg)
    files = {"xbtorch_card.py": _MODULE}
    for kind, up in (("set", True), ("reset", False)):
        state, change, cdf = jump_tables(model, up=up)
        files[f"{kind}_g.txt"] = _text(state)
        files[f"{kind}_dg.txt"] = _text(change)
        files[f"{kind}_cdf.txt"] = _text(cdf)
    parameters, approximated = _accelerator(card)
    files["accelerator.json"] = json.dumps(parameters, indent=1) + "\n"
    step = float(change[1] - change[0])
    approximated = [
        Limit(
            what="One pulse is one complete programming to the next level: the card's levels, "
            "not its pulses, are in the tables.",
            size=f"{model.n_levels - 1} pulses for the whole range",
        ),
        Limit(
            what="Conductances and their changes are rounded to grids.",
            size=f"steps of {float(state[1] - state[0]):.2g} S and {step:.2g} S",
        ),
        *approximated,
    ]
    expressed = {"families", "spacing", "d2d", "c2c", "read", "stuck", "retention"}
    return Export(
        files=files,
        commands=(
            "pip install git+https://github.com/ADAM-Lab-GW/xbtorch",
            "python3 xbtorch_card.py",
        ),
        approximated=tuple(approximated),
        missing=limits(card, expressed=expressed),
        notes=(
            (
                "`*_g.txt` and `*_dg.txt` are axes in siemens, `*_cdf.txt` has one row per "
                "conductance and one column per change."
            ),
            "In `accelerator.json`, conductances and noises are in siemens, times in seconds.",
        ),
    )


EXPORTER = Exporter(
    name="xbtorch",
    title="XBTorch 1.0",
    writes="Jump tables of SET and RESET for its `TabularDevice`, and the arguments of its "
    "accelerator with range, noise, drift and stuck cells.",
    cannot="XBTorch has no wires, no places of cells and no deviation of a cell that persists "
    "over programmings.",
    verified="By format only: the tests repeat its table look-up and find the mean of "
    "every level within 2 % and its standard deviation within 3 %. Where XBTorch is "
    "installed, they also write with its device.",
    export=_export,
)
