"""Solvers side by side on one array: what each is off by, and what it costs.

The exact solver in float64 is the reference. Estimates are tried as training uses them:

    anchored   at a state of the same array in which every cell was off by `MOVED`, lognormal
    smooth     learned from `SAMPLED` arrays of the same cells, each cell at another place

so that neither has seen the very state that it is judged by. Certificates are made in float32,
which is off by 1e-6 where estimates are off by 1e-3. Times are of this machine, now: the
shortest of a few runs. What is spent once per array or card, an anchor or a lesson, counts apart.
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

__all__ = ["MOVED", "SAMPLED", "SolverRun", "compare_solvers", "estimate_certificates"]

Floats = NDArray[np.float64]
T = TypeVar("T")

MOVED = 0.15
"""Relative distance of every cell between an anchor's state and the state that it serves."""

SAMPLED = 2
"""Arrays from which a smooth correction is learned here."""

_REPEATS = 3  # runs, of which the shortest counts


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverRun:
    """One solver on one problem."""

    name: str
    setup: float | None  # [s] once per array or card; None where there is nothing
    time: float  # [s] for all vectors
    rms: float  # [% of the mean column current] against the exact solver
    worst: float  # [% of the largest column current]
    remark: str = ""


def compare_solvers(
    conductance: Floats, voltage: Floats, line: LineResistance, *, seed: int = 0
) -> tuple[SolverRun, ...]:
    """Run every solver that knows these wires on the same array and inputs.

    Parameters
    ----------
    conductance : (row, col) array
        [S]
    voltage : (vector, row) array
        [V]
    line : LineResistance
    seed : int
        Of the states that estimates are anchored at or learn from.

    Returns
    -------
    tuple of SolverRun
        The exact solver first. Closed forms are left out where a segment is broken.

    Raises
    ------
    ArrayError
        If a solver does not reach its tolerance, or shapes do not fit.
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
    """Judge the fast estimates against the exact solver on one array and its inputs.

    Parameters
    ----------
    conductance, voltage, line, seed
        As for `compare_solvers`.

    Returns
    -------
    dict of str to Certificate
        ``"anchored"``, and ``"smooth"`` where no segment is broken. No warning is raised: the
        caller has the certificates, and `Certificate.ok`, to show.

    Raises
    ------
    ArrayError
        If no current flows at all.
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
    elsewhere = (g * torch.tensor(np.exp(MOVED * step - MOVED**2 / 2)).to(g))[None]
    out: dict[str, Callable[[], CrossbarEstimate]] = {
        "anchored": partial(anchored_estimate, elsewhere, line, densities=shares, seed=seed)
    }
    if not line.broken:
        places = stream(seed, "solver comparison/places")
        flat = g.flatten()
        sampled = [flat[torch.tensor(places.permutation(g.numel()))] for _ in range(SAMPLED)]
        like = torch.stack(sampled).reshape(SAMPLED, *g.shape)
        out["smooth"] = partial(smooth_estimate, like, line, densities=shares, seed=seed)
    return out


def _shares(v: Tensor) -> tuple[float, float]:
    """Shares of active rows that hold those of the inputs between them."""
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
