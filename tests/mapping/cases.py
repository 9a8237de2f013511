"""Cards with all non-idealities, and a reference that computes cell by cell in float64."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from rramfit.card import ModelCard, Quantity
from rramfit.card.document import seal
from rramfit.card.schema import (
    DriftCard,
    IVCard,
    LineCard,
    LineOffsets,
    ReadoutCard,
    RetentionCard,
)
from rramfit.mapping import AnalogLinear, Peripherals, analog_setup
from rramfit.measurement import virtual_card

MEAN = (30e-6, 80e-6, 200e-6)
TILE = (8, 8)
LINE = {"wordline": 3.0, "bitline": 2.0, "driver": 25.0, "sense": 15.0}


def given(**quantities: tuple[float, str]) -> dict[str, Quantity]:
    return {name: Quantity.given(*q) for name, q in quantities.items()}


def full_card(
    *, inactive: str = "grounded", noise: float = 0.0, readout=None, **options
) -> ModelCard:
    """Make a card with three levels and every part that a card can have."""
    card = virtual_card(
        "everything",
        **{
            "mean": MEAN,
            "spread": 0.12,
            "between_cells": 0.5,
            "read": 0.02,
            "field_share": 0.4,
            "field_length": 3.0,
            "row_trend": 0.01,
            "col_trend": -0.02,
            "soft": 0.05,
            "hard": 0.05,
            "array": TILE,
            "stuck": {
                "low": 0.05,
                "high": 0.05,
                "low_conductance": 2e-6,
                "high_conductance": 300e-6,
                "dead_rows": 0.1,
                "dead_cols": 0.1,
            },
        }
        | options,
    )
    ohms = {f"{k}_resistance": Quantity.given(v, "ohm") for k, v in LINE.items()}
    drift = [
        DriftCard(level=k, **given(first_step=(-0.02 * g, "S"), drift=(-0.01 * g, "S")))
        for k, g in enumerate(MEAN)
    ]
    variation = [
        v.model_copy(
            update={
                "lines": [
                    LineOffsets(axis="col", period=1, **given(std=(0.3 * v.d2d.value, "S"))),
                    LineOffsets(axis="row", period=2, **given(std=(0.2 * v.d2d.value, "S"))),
                ]
            }
        )
        for v in card.variation
        if v.d2d is not None
    ]
    parts = {
        "variation": variation,
        "line_correlation": [[1.0 if k == j else 0.7 for j in range(3)] for k in range(3)],
        "line": LineCard(inactive_rows=inactive, **ohms),
        "iv": IVCard(**given(nonlinearity=(2.0, "1/V"))),
        "retention": RetentionCard(
            levels=drift, **given(reference_time=(1.0, "s"), longest_time=(1e5, "s"))
        ),
        "readout": ReadoutCard(
            bits=8,
            **{
                **given(
                    full_scale=(2e-4, "A"),
                    gain=(1.15e6, "LSB/A"),
                    gain_spread=(0.03, "1"),
                    offset=(6.0, "LSB"),
                    offset_spread=(2.0, "LSB"),
                    third_order=(4.0, "LSB"),
                    noise=(noise, "LSB"),
                ),
                **given(**{k: (v, "1") for k, v in (readout or {}).items()}),
            },
        ),
    }
    return seal(card.model_copy(update=parts))


class Case:
    """A small layer, its inputs, and an independent computation of its mapping to tiles."""

    outputs, inputs, vectors = 5, 11, 4

    def __init__(self, factors: tuple[str, ...], *, signed: bool = False, **options):
        card = options.pop("card", None) or full_card()
        self.peripherals = options.pop("peripherals", Peripherals())
        self.setup = analog_setup(
            card,
            tile=TILE,
            factors=factors,
            dtype=torch.float64,
            peripherals=self.peripherals,
            **options,
        )
        rng = np.random.default_rng(4)
        self.digital = nn.Linear(self.inputs, self.outputs).double()
        with torch.no_grad():
            self.digital.weight.copy_(torch.tensor(rng.normal(size=(self.outputs, self.inputs))))
            self.digital.bias.copy_(torch.tensor(rng.normal(size=self.outputs)))
        x = rng.uniform(-1.0 if signed else 0.0, 1.0, (self.vectors, self.inputs))
        x[0, 3] = 0.0
        self.x = torch.tensor(x)
        self.layer = AnalogLinear.from_digital(self.digital, self.setup).eval()
        self.matrix = self.layer.analog.matrix

    def run(self, *, seed: int = 3) -> np.ndarray:
        self.layer.calibrate(self.x)
        self.layer.program(seed=seed)
        with torch.no_grad():
            return self.layer(self.x).numpy()

    @property
    def scale(self) -> np.ndarray:
        return self.matrix.scale.numpy()

    @property
    def conductance(self) -> np.ndarray:
        """Conductances of the programmed chip, (tile, row, col)."""
        return self.matrix.programmed.cells.conductance.numpy()

    def tile_of(self, output: int, block: int) -> tuple[int, int, int]:
        """Return the tile of an output's partial sum, and its two columns in the tile."""
        room = TILE[1] // 2
        per_block = math.ceil(self.outputs / room)
        return block * per_block + output // room, 2 * (output % room), 2 * (output % room) + 1

    def reference(self, *, volts=None, currents=None) -> np.ndarray:
        """Compute outputs from the column currents of every tile, one output after another.

        `currents(tile, volts)` returns a tile's column currents; passes are (coefficient, volts).
        """
        scale = self.scale
        unit = self.setup.read_voltage
        passes = volts or [(1.0, unit * self.x.numpy())]
        out = np.tile(self.digital.bias.detach().numpy(), (self.vectors, 1))
        for n in range(self.vectors):
            for coefficient, voltage in passes:
                for block in range(math.ceil(self.inputs / TILE[0])):
                    on_rows = np.zeros(TILE[0])
                    part = voltage[n, block * TILE[0] : (block + 1) * TILE[0]]
                    on_rows[: len(part)] = part
                    for o in range(self.outputs):
                        tile, plus, minus = self.tile_of(o, block)
                        amps = currents(tile, on_rows)
                        out[n, o] += coefficient * scale[o] * (amps[plus] - amps[minus]) / unit
        return out

    def ideal(self, tile: int, volts: np.ndarray) -> np.ndarray:
        """Compute column currents without wires, cell by cell."""
        g = self.conductance[tile]
        return np.array([sum(volts[r] * g[r, c] for r in range(TILE[0])) for c in range(TILE[1])])


def nodal(g, volts, line, *, active=None, nonlinearity=None, rounds=1):
    """Compute column currents of one array by nodal analysis; nonlinear cells by secants."""
    rows, cols = g.shape
    on = np.ones(rows, bool) if active is None else active
    size = 2 * rows * cols
    wl = lambda r, c: r * cols + c  # noqa: E731
    bl = lambda r, c: rows * cols + r * cols + c  # noqa: E731
    secant = g.copy()
    for _ in range(rounds):
        a, rhs = np.zeros((size, size)), np.zeros(size)

        def join(i, j, ohm, a=a):
            for x, y in ((i, j), (j, i)):
                a[x, x] += 1 / ohm
                a[x, y] -= 1 / ohm

        for r in range(rows):
            for c in range(cols):
                cell = secant[r, c] if (on[r] or line.inactive_rows != "gated") else 0.0
                for x, y in ((wl(r, c), bl(r, c)), (bl(r, c), wl(r, c))):
                    a[x, x] += cell
                    a[x, y] -= cell
                if c:
                    join(wl(r, c - 1), wl(r, c), line.r_wl)
                elif on[r] or line.inactive_rows == "grounded":
                    a[wl(r, 0), wl(r, 0)] += 1 / line.r_driver
                    rhs[wl(r, 0)] += (volts[r] if on[r] else 0.0) / line.r_driver
                else:
                    a[wl(r, 0), wl(r, 0)] += 1e-15  # disconnected: keep regular
                if r:
                    join(bl(r - 1, c), bl(r, c), line.r_bl)
            # the sense resistance at the last bitline node of each column follows below
        for c in range(cols):
            a[bl(rows - 1, c), bl(rows - 1, c)] += 1 / line.r_sense
        v = np.linalg.solve(a, rhs)
        across = v[: rows * cols].reshape(rows, cols) - v[rows * cols :].reshape(rows, cols)
        if nonlinearity is not None:
            x = np.maximum(np.abs(nonlinearity * across), 1e-9)
            secant = g * np.sinh(x) / x
    return np.array([v[bl(rows - 1, c)] / line.r_sense for c in range(cols)])
