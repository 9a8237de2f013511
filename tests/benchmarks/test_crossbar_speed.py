"""Run time and error of crossbar solvers on the same problems.

    python -m pytest tests/benchmarks/test_crossbar_speed.py -q --benchmark-columns=min,rounds \\
        --benchmark-json=crossbar.json

128 x 128 cells of 10/100/1,000 uS ("hard") or 1/20/40 uS ("easy") with equal probability, inputs
uniform in 0 to 1 V, 1 ohm per segment, driver and sense amplifier. The error max |dI| / max |I| is
relative to the nodal equations refined in extended precision; `extra_info` in the JSON file has it.
Run times depend on the machine, so only errors and ratios between solvers in one run are asserted.
badcrossbar and CrossSim are skipped if they are not installed (a clone of CrossSim on PYTHONPATH is
enough).
"""

import time
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import splu

from rramfit.array import (
    LineResistance,
    alpha_beta,
    anchored_estimate,
    column_currents,
    effective_matrix,
    solve_iterative,
    solve_nonlinear,
)

SIZE = 128
LEVELS = {"easy": (1e-6, 20e-6, 40e-6), "hard": (10e-6, 100e-6, 1e-3)}
LINE = LineResistance(r_wl=1.0, r_bl=1.0, r_driver=1.0, r_sense=1.0)


def problem(family, vectors, size=SIZE, seed=0):
    rng = np.random.default_rng([seed, size])
    return rng.choice(LEVELS[family], (size, size)), rng.uniform(0, 1, (vectors, size))


def nodal_matrix(g, ohm=1.0, dtype=np.float64):
    """Return the nodal equations of the array: wordline nodes first, then bitline nodes."""
    m, n = g.shape
    wl = np.arange(m * n).reshape(m, n)
    bl = wl + m * n
    one = 1 / ohm
    pairs = [
        (wl.ravel(), bl.ravel(), g.ravel()),
        (wl[:, :-1].ravel(), wl[:, 1:].ravel(), np.full(m * (n - 1), one)),
        (bl[:-1].ravel(), bl[1:].ravel(), np.full((m - 1) * n, one)),
    ]
    a, b, y = (np.concatenate(x) for x in zip(*pairs, strict=True))
    ends = np.concatenate((wl[:, 0], bl[-1]))
    rows = np.concatenate((a, b, a, b, ends))
    cols = np.concatenate((a, b, b, a, ends))
    values = np.concatenate((y, y, -y, -y, np.full(m + n, one))).astype(dtype)
    return sparse.csc_matrix((values, (rows, cols)), shape=(2 * m * n,) * 2), wl, bl


def by_sparse_lu(g, v, *, refine=False):
    matrix, wl, bl = nodal_matrix(g)
    rhs = np.zeros((matrix.shape[0], len(v)))
    rhs[wl[:, 0]] = v.T
    factor = splu(matrix)
    x = factor.solve(rhs)
    if refine:
        exact = nodal_matrix(g, dtype=np.longdouble)[
            0
        ]  # in float64 the rounding of its diagonal exceeds G
        x = x.astype(np.longdouble)
        for _ in range(3):
            x = x + factor.solve((rhs - exact @ x).astype(np.float64))
        x = x.astype(np.float64)
    return x[bl[-1]].T


def by_merging(g, v):
    return (torch.from_numpy(v) @ effective_matrix(torch.from_numpy(g), LINE)).numpy()


def by_iteration(g, v):
    found = solve_iterative(torch.from_numpy(g), torch.from_numpy(v), LINE, tolerance=1e-9)
    return found.column_current.numpy()


def by_badcrossbar(g, v):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        badcrossbar = pytest.importorskip("badcrossbar")
        if not hasattr(badcrossbar, "compute"):
            pytest.skip("badcrossbar is only partly importable")
        found = badcrossbar.compute(v.T, 1 / g, r_i=1.0, node_voltages=False, all_currents=False)
    return np.asarray(found.currents.output)


def by_crosssim(g, v, *, tolerance=1e-3):
    """Solve the same circuit by CrossSim's iteration, by default at CrossSim's tolerance."""
    simulator = pytest.importorskip("simulator")
    from simulator.backend import ComputeBackend
    from simulator.circuits.array.NonInterleaved_InputSource import NoninterleavedInputSourceArray

    ComputeBackend(use_gpu=False)
    params, most = simulator.CrossSimParameters(), g.max()
    params.core.style = "OFFSET"  # one array, no pairs
    params.core.rows_max, params.core.cols_max = g.shape
    params.xbar.device.Rmin = 1 / most
    params.xbar.array.parasitics.enable = True
    params.xbar.array.parasitics.Rp_row = params.xbar.array.parasitics.Rp_col = 1.0
    params.simulation.Verr_th_mvm = tolerance
    found = NoninterleavedInputSourceArray(params).iterative_solve((g / most).T, v.T)
    return most * np.asarray(found).reshape(g.shape[1], len(v)).T


def error_of(found, g, v):
    exact = by_sparse_lu(g, v, refine=True)
    return float(np.abs(found - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("family", ["easy", "hard"])
@pytest.mark.parametrize("vectors", [1, 128, 1024])
@pytest.mark.parametrize(
    "solver",
    [by_merging, by_iteration, by_sparse_lu, by_badcrossbar, by_crosssim],
    ids=lambda f: f.__name__,
)
def test_products(benchmark, solver, vectors, family):
    """One array: its solution and `vectors` products."""
    if solver is by_iteration and vectors > 128:
        pytest.skip("the iterative solver is for single vectors")
    g, v = problem(family, vectors)
    benchmark.group = f"{vectors} vectors, {family}"
    if solver is by_crosssim and family == "hard" and vectors > 1:
        pytest.skip("CrossSim takes seconds per vector")
    slow = solver in (by_sparse_lu, by_badcrossbar, by_crosssim)
    found = benchmark.pedantic(
        solver, (g, v), rounds=1 if slow else 5, warmup_rounds=0 if slow else 1
    )
    error = error_of(found, g, v)
    benchmark.extra_info["error"] = error
    assert error < {by_iteration: 1e-8, by_crosssim: 1e-3}.get(solver, 1e-10)


@pytest.mark.parametrize(
    ("other", "least"),
    [(by_sparse_lu, 100), (by_badcrossbar, 100), (by_crosssim, 200)],
    ids=lambda f: getattr(f, "__name__", None),
)
def test_speedup_for_a_thousand_products(benchmark, other, least):
    """1,024 products on one 128 x 128 array, against another solver in the same run."""
    g, v = problem("easy", 1024)
    start = time.perf_counter()
    other(g, v)
    theirs = time.perf_counter() - start
    benchmark.pedantic(by_merging, (g, v), rounds=9, warmup_rounds=2)
    ratio = theirs / benchmark.stats.stats.min
    benchmark.extra_info["ratio"] = ratio
    assert ratio >= least


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("tiles", [1, 16])
@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "gradient"])
def test_tiles(benchmark, tiles, dtype, gradient):
    """T of a batch of tiles, with and without gradients in cells and resistances."""
    g = torch.tensor(np.stack([problem("easy", 1, seed=k)[0] for k in range(tiles)]), dtype=dtype)
    r = torch.ones(4, dtype=dtype)

    def forward():
        return effective_matrix(g, LINE)

    def both():
        cells, ohm = g.clone().requires_grad_(), r.clone().requires_grad_()
        line = LineResistance(r_wl=ohm[0], r_bl=ohm[1], r_driver=ohm[2], r_sense=ohm[3])
        effective_matrix(cells, line).sum().backward()

    benchmark.group = f"{tiles} tiles, {dtype}"
    benchmark.pedantic(both if gradient else forward, rounds=5, warmup_rounds=1)
    benchmark.extra_info["ms_per_tile"] = 1e3 * benchmark.stats.stats.min / tiles


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_large_arrays(benchmark, size):
    """T of one large array in float32; `extra_info` has the peak memory [GiB]."""
    import resource

    g = torch.tensor(problem("easy", 1, size)[0], dtype=torch.float32)
    benchmark.pedantic(effective_matrix, (g, LINE), rounds=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    benchmark.extra_info["peak_GiB"] = peak
    assert peak < 24


@pytest.mark.parametrize("method", ["closed form", "anchored", "exact"])
def test_estimates(benchmark, method):
    """Estimates and exact T of 16 tiles of 128 x 128 with gradient, float32."""
    g = torch.tensor(
        np.stack([problem("easy", 1, seed=k)[0] for k in range(16)]), dtype=torch.float32
    )
    estimate = anchored_estimate(g, LINE)
    work = {
        "closed form": lambda x: alpha_beta(x, LINE),
        "anchored": estimate.matrices,
        "exact": lambda x: effective_matrix(x, LINE),
    }[method]

    def both():
        cells = g.clone().requires_grad_()
        work(cells).sum().backward()

    benchmark.group = "estimates with gradient, 16 tiles"
    benchmark.pedantic(both, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("nonlinearity", [1.0, 3.0, 5.0])
def test_nonlinear_vectors(benchmark, nonlinearity):
    """16 vectors of up to 1 V on nonlinear cells; `extra_info` has the Newton steps."""
    g, v = (torch.from_numpy(x) for x in problem("easy", 16))
    found = benchmark.pedantic(
        solve_nonlinear, (g, v, LINE), {"nonlinearity": nonlinearity}, rounds=2
    )
    benchmark.extra_info["newton_steps"] = found.newton_steps


@pytest.mark.parametrize(
    ("levels", "ohm"),
    [
        ((1 / 5e3, 1 / 12e3, 1 / 30e3), 0.5),
        ((1 / 5e3, 1 / 12e3, 1 / 30e3), 2.0),
        ((1 / 10e3, 1 / 200e3), 1.0),
        ((1e-6, 20e-6, 40e-6), 1.0),
    ],
    ids=["5-12-30 kohm 0.5 ohm", "5-12-30 kohm 2 ohm", "10-200 kohm 1 ohm", "1-20-40 uS 1 ohm"],
)
@pytest.mark.parametrize("rows", ["grounded", "floating", "gated"])
def test_accuracy_of_the_estimates(benchmark, levels, ohm, rows):
    """Half the rows on; `extra_info` has rms errors in % of the mean column current."""
    from rramfit.array import smooth_estimate

    rng = np.random.default_rng(3)
    line = LineResistance(r_wl=ohm, r_bl=ohm, r_driver=ohm, r_sense=ohm, inactive_rows=rows)
    g, new = (torch.tensor(rng.choice(levels, (3, SIZE, SIZE))) for _ in range(2))
    moved = g * torch.tensor(1 + 0.15 * rng.standard_normal(g.shape)).clamp(0.3, 2)
    v = torch.tensor(0.2 * (rng.random((1, 16, SIZE)) < 0.5))
    anchored = benchmark.pedantic(anchored_estimate, (g, line), rounds=1)
    exact, exact_new = column_currents(moved, v, line), column_currents(new, v, line)

    def rms(found, truth):
        return float(100 * (found - truth).square().mean().sqrt() / truth.mean())

    benchmark.group = "anchoring three tiles"
    benchmark.extra_info |= {
        "lost": float(100 * (1 - exact.mean() / (v @ moved).mean())),
        "no wires": rms(v @ moved, exact),
        "closed form": rms(v @ alpha_beta(moved, line)[0], exact),
        "anchored, cells 15 % off": rms(anchored.column_currents(moved, v), exact),
        "smooth, new cells": rms(smooth_estimate(g, line).column_currents(new, v), exact_new),
    }
