"""Cells of arrays as a measured model card describes them. Needs NumPy, and SciPy for wires.

`rramfit card export` writes this file and `rram_cells.json`, which has all numbers. A healthy cell
that is programmed to level k has the conductance

    G = Q_k(a_k·D + √(1 − a_k²)·E) + trend_k(row, col)

where Q_k is the quantile function of the level on the scale of a normal variable, D belongs to the
cell (smooth field, lines and remainder) and E to this programming. Other cells are stuck, fail to
program, or lie in a dead line. All conductances are in siemens, arrays are (row, col).
"""

import json
from pathlib import Path

import numpy as np

__all__ = ["Cells", "Numbers", "effective_matrix"]

OK, STUCK_LOW, STUCK_MIDDLE, STUCK_HIGH, DEAD = range(5)
_NOISE_RANGE = 0.02  # read noise is constant below this share of a level's mean
_LEAST = 1e-12  # [S], and of a state relative to its scale


class Numbers:
    """The numbers of a card, by name, as arrays."""

    def __init__(self, path=None):
        path = Path(__file__).with_name("rram_cells.json") if path is None else Path(path)
        self.content = json.loads(path.read_text(encoding="utf-8"))
        for name, value in self.content["levels"].items():
            setattr(self, name, np.asarray(value, dtype=np.float64))
        self.card = self.content["card"]
        self.reach = float(self.content["reach"])
        self.read_voltage = float(self.content["read_voltage"])
        self.lines = self.content["lines"]
        self.faults = self.content["faults"]
        self.read_noise = self.content["read_noise"]
        self.ageing = self.content["ageing"]
        self.conduction = self.content["conduction"]
        self.wires = self.content["wires"]

    def nearest_level(self, conductance):
        """Return the level whose mean is nearest to each conductance."""
        edges = (self.mean[1:] + self.mean[:-1]) / 2
        return np.searchsorted(edges, conductance)

    def quantile(self, level, z):
        """Return the conductance of latent values `z` at a level each."""
        knots = self.quantiles.shape[1]
        at = (z + self.reach) * ((knots - 1) / (2 * self.reach))
        below = np.clip(np.floor(at), 0, knots - 2).astype(np.int64)
        low = self.quantiles[level, below]
        return low + (at - below) * (self.quantiles[level, below + 1] - low)

    def read_std(self, conductance, level=None, off_level=False):
        """Return the standard deviation of one read of each cell.

        Without `level`, a cell follows the level whose mean is nearest.
        """
        level = self.nearest_level(conductance) if level is None else level
        noise = self.read_noise

        def power(reference, exponent):
            relative = conductance / reference
            return np.clip(relative, _NOISE_RANGE, 1 / _NOISE_RANGE) ** exponent

        std = self.read_scale[level] * power(self.read_reference[level], noise["power"])
        if noise["off_level"] is None:
            return std
        scale, reference, exponent = noise["off_level"]
        return np.where(off_level, scale * power(reference, exponent), std)

    def aged(self, conductance, level, time, rng):
        """Return states at `time` [s] after programming; `level` is the level each follows."""
        ageing = self.ageing
        if time < ageing["reference_time"]:
            return conductance
        x = np.log(time / ageing["reference_time"])
        at = np.asarray(ageing["log_time"])
        shift, variance = (
            np.array([np.interp(x, at, row) + self._beyond(x, at, row) for row in ageing[name]])
            for name in ("shift", "variance")
        )
        noise = rng.standard_normal(np.shape(conductance))
        move = shift[level] + np.sqrt(np.maximum(variance, 0.0))[level] * noise
        scale = np.asarray(ageing["scale"])[level]
        bent = scale > 0
        s = np.where(bent, scale, 1.0)
        u = np.maximum(conductance / s, _LEAST)
        y = np.where(u < 1, s * (1 + np.log(np.minimum(u, 1))), conductance) + move
        new = np.where(y < s, s * np.exp(np.minimum(y / s - 1, 0)), y)
        new = np.where(conductance > 0, new, conductance + new - s * u)
        return np.where(move == 0, conductance, np.where(bent, new, conductance + move))

    @staticmethod
    def _beyond(x, at, row):
        """Continue a table in a straight line after its last time."""
        slope = (row[-1] - row[-2]) / (at[-1] - at[-2])
        return slope * max(x - at[-1], 0.0)

    def slope_at_zero(self, conductance):
        """Return G0 and b [1/V] of I = G0·sinh(bV)/b, from I/V at the read voltage."""
        model = self.conduction
        if model is None:
            return conductance, np.zeros_like(conductance)
        g0, b = conductance, np.zeros_like(conductance)
        for _ in range(3):  # b depends on G0, and G0 on b; each round is ten times closer
            ratio = np.maximum(g0 / model["reference"], 1e-6)
            b = model["nonlinearity"] + model["dependence"] * np.log(ratio)
            b = np.maximum(b + model["slope"] * (g0 - model["reference"]), 0.0)
            x = np.maximum(b * self.read_voltage, 1e-4)
            g0 = conductance * x / np.sinh(x)
        return g0, b


class Cells:
    """One array of cells: what stays of each cell from one programming to the next."""

    def __init__(self, numbers, rows, cols, rng):
        self.numbers, self.shape, self.rng = numbers, (rows, cols), rng
        self.deviation = self._deviation()
        self.fault, self.stuck, self.motion = self._stuck()
        hard = np.asarray(numbers.hard)[:, None, None]
        self.hard = rng.random((len(numbers.mean), rows, cols)) < hard

    def program(self, level):
        """Program every cell once; level (row, col).

        Returns
        -------
        conductance : (row, col) array
        follows : (row, col) array
            The level whose noise and ageing the cell has.
        off_level : (row, col) bool array
            Cells that failed, or are stuck or dead: they do not age.
        """
        n, rng = self.numbers, self.rng
        level = np.broadcast_to(np.asarray(level, dtype=np.int64), self.shape)
        conductance = self._healthy(level)
        fails = rng.random(self.shape) < np.asarray(n.soft)[level]
        fails |= np.take_along_axis(self.hard, level[None], axis=0)[0]
        lowest = self._healthy(np.zeros_like(level))
        median = n.quantiles[0, n.quantiles.shape[1] // 2]
        scale = np.where(np.isfinite(n.failed_median), n.failed_median / median, 1.0)[level]
        conductance = np.where(fails, lowest * scale, conductance)
        follows = np.where(fails, 0, level)
        faulty = self.fault != OK
        stuck = self.stuck * np.exp(
            self.motion * rng.standard_normal(self.shape) - 0.5 * self.motion**2
        )
        at = np.where(self.fault == STUCK_HIGH, len(n.mean) - 1, 0)
        at = np.where(self.fault == STUCK_MIDDLE, n.nearest_level(stuck), at)
        conductance = np.where(faulty, stuck, conductance)
        return conductance, np.where(faulty, at, follows), faulty | fails

    def aged(self, conductance, follows, time):
        """Return the programmed states at `time` [s]; stuck and dead cells keep theirs."""
        aged = self.numbers.aged(conductance, follows, time, self.rng)
        return np.where(self.fault == OK, aged, conductance)

    def read(self, conductance, follows, off_level):
        """Read every cell once."""
        std = self.numbers.read_std(conductance, follows, off_level)
        return conductance + std * self.rng.standard_normal(conductance.shape)

    def _healthy(self, level):
        n = self.numbers
        a = n.between[level]
        deviation = np.take_along_axis(self.deviation, level[None], axis=0)[0]
        cycle = self.rng.standard_normal(self.shape)
        state = n.quantile(level, a * deviation + np.sqrt(np.maximum(1 - a * a, 0.0)) * cycle)
        r, c = (np.arange(size) - (size - 1) / 2 for size in self.shape)
        return state + n.row_trend[level] * r[:, None] + n.col_trend[level] * c

    def _deviation(self):
        """Draw the latent deviation of every cell at every level, (level, row, col)."""
        n, size = self.numbers, (len(self.numbers.mean), *self.shape)
        out = np.einsum("kl,lij->kij", n.mixing, self.rng.standard_normal(size))
        parts = []
        if np.any(n.lengths > 0):
            field = np.einsum("kl,lij->kij", n.mixing, self.rng.standard_normal(size))
            for k, length in enumerate(n.lengths):
                if length > 0:
                    rows, cols = (_root(count, length) for count in self.shape)
                    field[k] = rows @ field[k] @ cols
            parts.append((n.field_share, field))
        for line in self.lines_of_array():
            groups, share = line
            offsets = n.line_mixing @ self.rng.standard_normal((size[0], int(groups.max()) + 1))
            parts.append((share, offsets[:, groups]))
        rest = 1.0 - sum((share for share, _ in parts), np.zeros(size[0]))
        out *= np.sqrt(np.maximum(rest, 0.0))[:, None, None]
        for share, part in parts:
            out += np.sqrt(share)[:, None, None] * part
        return out

    def lines_of_array(self):
        """Return the group of every cell, and the share by level, of each kind of line offsets."""
        r, c = np.indices(self.shape)
        found = []
        for one in self.numbers.lines:
            line, other = (r, c) if one["axis"] == "row" else (c, r)
            groups = line * one["period"] + other % one["period"]
            found.append((groups, np.asarray(one["share"])))
        return found

    def _stuck(self):
        """Draw faults, and of stuck cells the conductance and how much ln G moves."""
        faults, rng = self.numbers.faults, self.rng
        fault = np.full(self.shape, OK)
        u = rng.random(self.shape)
        low, middle, high = (faults[side]["share"] for side in ("low", "middle", "high"))
        fault[u < low] = STUCK_LOW
        fault[(u >= low) & (u < low + middle)] = STUCK_MIDDLE
        fault[u >= 1 - high] = STUCK_HIGH
        fault[rng.random(self.shape[0]) < faults["dead_rows"]] = DEAD
        fault[:, rng.random(self.shape[1]) < faults["dead_cols"]] = DEAD
        own, moves = rng.standard_normal(self.shape), rng.random(self.shape)
        stuck, motion = np.zeros(self.shape), np.zeros(self.shape)
        for side, code in (("low", STUCK_LOW), ("middle", STUCK_MIDDLE), ("high", STUCK_HIGH)):
            one, here = faults[side], fault == code
            stuck[here] = (one["conductance"] * np.exp(one["spread"] * own))[here]
            motion[here & (moves < one["moving"])] = one["motion"]
        return fault, stuck, motion


def _root(size, length):
    """Return B with B·B = C, C_ij = exp(−((i − j)/length)²)."""
    at = np.arange(size, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.exp(-(((at[:, None] - at) / length) ** 2)))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def effective_matrix(conductance, wires):
    """Return T (row, col) [S]: the column currents of row voltages V are V·T.

    Every cell has a node on its row and one on its column. Rows are driven before the first column
    through `driver`, columns are held at 0 V after the last row through `sense`; `row` and `col`
    are the resistances [ohm] between neighbouring cells. Undriven rows are at 0 V.
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    m, n = conductance.shape
    least = 1e-6  # [ohm] for a wire without resistance
    row, col, driver, sense = (
        1.0 / max(wires[name], least) for name in ("row", "col", "driver", "sense")
    )
    if max(wires[name] for name in ("row", "col", "driver", "sense")) <= 0:
        return np.array(conductance, dtype=np.float64)
    word = np.arange(m * n).reshape(m, n)
    bit = word + m * n
    ends = [
        (word, bit, conductance),
        (word[:, :-1], word[:, 1:], np.full((m, n - 1), row)),
        (bit[:-1], bit[1:], np.full((m - 1, n), col)),
    ]
    i = np.concatenate([x.ravel() for x, _, _ in ends])
    j = np.concatenate([x.ravel() for _, x, _ in ends])
    g = np.concatenate([x.ravel() for _, _, x in ends])
    size = 2 * m * n
    diagonal = np.bincount(i, g, size) + np.bincount(j, g, size)
    diagonal[word[:, 0]] += driver
    diagonal[bit[-1]] += sense
    matrix = sparse.coo_matrix(
        (
            np.concatenate([-g, -g, diagonal]),
            (np.concatenate([i, j, np.arange(size)]), np.concatenate([j, i, np.arange(size)])),
        ),
        shape=(size, size),
    ).tocsc()
    right = np.zeros((size, n))  # by reciprocity, one solution per column
    right[bit[-1], np.arange(n)] = sense
    solution = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(
        right
    )
    return driver * solution[word[:, 0]]
