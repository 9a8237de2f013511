"""Error and run time of all solvers on one array.

The exact solver in float64 is the reference. Estimates are tested as training uses them:

    anchored   at a state of the same array in which every cell deviates by a lognormal factor of
               spread `ANCHOR_DEVIATION`
    smooth     learned from `SAMPLED_ARRAYS` arrays of the same cells in shuffled places

so that neither was made from the state on which it is tested. Certificates are computed in float32,
whose error is 1e-6 where that of the estimates is 1e-3. Times are measured on this machine: the
shortest of a few runs. The setup of an estimate, once per array or card, is listed separately.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.array.wires.certificate import Certificate, certify
from rramfit.array.wires.effective import column_currents
from rramfit.array.wires.estimate import (
    CrossbarEstimate,
    alpha_beta,
    anchored_estimate,
    smooth_estimate,
)
from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.nonlinear import solve_iterative
from rramfit.errors import RramfitWarning
from rramfit.streams import stream

__all__ = [
    "ANCHOR_DEVIATION",
    "SAMPLED_ARRAYS",
    "SolverRun",
    "compare_solvers",
    "estimate_certificates",
]

Floats = NDArray[np.float64]
T = TypeVar("T")

ANCHOR_DEVIATION = 0.15
"""Relative deviation of every cell between the anchor's state and the tested state."""

SAMPLED_ARRAYS = 2
"""Arrays from which the smooth correction is learned."""

_REPEATS = 3  # runs; the shortest is reported


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverRun:
    """One solver on one problem."""

    name: str
    setup: float | None  # [s] once per array or card; None without setup
    time: float  # [s] for all vectors
    rms: float  # [% of the mean column current] against the exact solver
    worst: float  # [% of the largest column current]
    remark: str = ""


def compare_solvers(
    conductance: Floats, voltage: Floats, line: LineResistance, *, seed: int = 0
) -> tuple[SolverRun, ...]:
    """Run every solver that supports these wires on the same array and inputs.

    Parameters
    ----------
    conductance : (row, col) array
        [S]
    voltage : (vector, row) array
        [V]
    line : LineResistance
    seed : int
        Of the states from which estimates are made.

    Returns
    -------
    tuple of SolverRun
        The exact solver first. Closed forms are left out if a segment is broken.

    Raises
    ------
    ArrayError
        If a solver does not reach its tolerance, or shapes do not match.
    """
    g, v = torch.tensor(conductance), torch.tensor(voltage)
    with torch.no_grad():
        seconds, exact = _timed(partial(column_currents, g, v, line))
        runs = [SolverRun(name="exact", setup=None, time=seconds, rms=0.0, worst=0.0)]
        seconds, single = _timed(partial(column_currents, g.float(), v.float(), line))
        runs.append(_run("exact, float32", seconds, single, exact))
        seconds, iterated = _timed(partial(solve_iterative, g, v, line))
        remark = f"{iterated.iterations} iterations, residual {iterated.residual:.1g}"
        runs.append(_run("iterative", seconds, iterated.column_current, exact, remark=remark))
        if not line.broken:
            seconds, closed = _timed(partial(_closed_form, g, v, line))
            runs.append(_run("closed form αβ", seconds, closed, exact))
        for name, make in _estimates(g, v, line, seed).items():
            setup, estimate = _timed(make, repeats=1)
            seconds, found = _timed(partial(estimate.column_currents, g[None], v[None]))
            runs.append(_run(f"{name} estimate", seconds, found[0], exact, setup=setup))
    return tuple(runs)


def estimate_certificates(
    conductance: Floats, voltage: Floats, line: LineResistance, *, seed: int = 0
) -> dict[str, Certificate]:
    """Certify the fast estimates against the exact solver on one array and its inputs.

    Parameters
    ----------
    conductance, voltage, line, seed
        As for `compare_solvers`.

    Returns
    -------
    dict of str to Certificate
        ``"anchored"``, and ``"smooth"`` if no segment is broken. No warning is raised; check
        `Certificate.ok`.

    Raises
    ------
    ArrayError
        If no column carries a current.
    """
    g, v = (torch.tensor(x, dtype=torch.float32) for x in (conductance, voltage))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", RramfitWarning)
        return {
            name: certify(make(), g[None], v[None])
            for name, make in _estimates(g, v, line, seed).items()
        }


def _estimates(
    g: Tensor, v: Tensor, line: LineResistance, seed: int
) -> dict[str, Callable[[], CrossbarEstimate]]:
    shares = None if line.inactive_rows == "grounded" else _shares(v)
    step = stream(seed, "solver comparison/moved").standard_normal(g.shape)
    elsewhere = (g * torch.tensor(np.exp(ANCHOR_DEVIATION * step - ANCHOR_DEVIATION**2 / 2)).to(g))[
        None
    ]
    out: dict[str, Callable[[], CrossbarEstimate]] = {
        "anchored": partial(anchored_estimate, elsewhere, line, densities=shares, seed=seed)
    }
    if not line.broken:
        places = stream(seed, "solver comparison/places")
        flat = g.flatten()
        sampled = [flat[torch.tensor(places.permutation(g.numel()))] for _ in range(SAMPLED_ARRAYS)]
        like = torch.stack(sampled).reshape(SAMPLED_ARRAYS, *g.shape)
        out["smooth"] = partial(smooth_estimate, like, line, densities=shares, seed=seed)
    return out


def _shares(v: Tensor) -> tuple[float, float]:
    """Return two shares of active rows that enclose those of the inputs."""
    share = (v != 0).double().mean(-1)
    low, high = float(share.min()), float(share.max())
    if high - low < 0.1:
        low, high = 0.9 * low, min(1.1 * high, 1.0)
    return max(low, 1 / v.shape[-1]), high


def _closed_form(g: Tensor, v: Tensor, line: LineResistance) -> Tensor:
    return v @ alpha_beta(g, line)[0]


def _run(
    name: str,
    seconds: float,
    found: Tensor,
    exact: Tensor,
    *,
    setup: float | None = None,
    remark: str = "",
) -> SolverRun:
    size, error = exact.abs(), (found.double() - exact).abs()
    return SolverRun(
        name=name,
        setup=setup,
        time=seconds,
        rms=100 * float(error.square().mean().sqrt() / size.mean()),
        worst=100 * float(error.max() / size.max()),
        remark=remark,
    )


def _timed(make: Callable[[], T], *, repeats: int = _REPEATS) -> tuple[float, T]:
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        out = make()
        best = min(best, time.perf_counter() - start)
    return best, out
