"""One contract for every crossbar solver, judged by two solutions that share no code with them.

`tableau` is the network written out node by node and branch by branch (modified nodal analysis, so
that a resistance of zero is an equation like any other), eliminated in extended precision. ngspice
is the other.
"""

import shutil
import subprocess

import numpy as np
import pytest
import torch

from rramfit.array import (
    LineResistance,
    anchored_estimate,
    column_currents,
    effective_matrix,
    node_voltages,
    solve_iterative,
    solve_nonlinear,
)

SIZES = [(1, 1), (1, 5), (4, 1), (5, 7), (9, 6)]
ROWS = ["grounded", "floating", "gated"]
WIRES = {"r_wl": 2.0, "r_bl": 3.0, "r_driver": 50.0, "r_sense": 30.0}


def eliminate(a, c):
    """Gaussian elimination with row pivots in extended precision."""
    a, c = a.astype(np.longdouble), c.astype(np.longdouble)
    n = len(a)
    for k in range(n):
        p = k + np.argmax(abs(a[k:, k]))
        a[[k, p]], c[[k, p]] = a[[p, k]], c[[p, k]]
        factor = a[k + 1 :, k] / a[k, k]
        a[k + 1 :, k:] -= factor[:, None] * a[k, k:]
        c[k + 1 :] -= factor * c[k]
    x = np.zeros_like(c)
    for k in range(n - 1, -1, -1):
        x[k] = (c[k] - a[k, k + 1 :] @ x[k + 1 :]) / a[k, k]
    return x.astype(float)


def branches(shape, v, line, floats):
    """(node, node, ohm, volt) of every wire; None is ground; floating rows have no driver."""
    m, n = shape
    wl, bl = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    out, sense = [], []
    for i in range(m):
        for j in range(n):
            if (i, j) not in line.broken_wl:
                if j:
                    out.append((wl[i, j - 1], wl[i, j], line.r_wl, 0.0))
                elif not floats[i]:
                    out.append((None, wl[i, 0], line.r_driver, v[i]))
                elif line.drive == "both":
                    out.append((2 * m * n + i, wl[i, 0], line.r_driver, 0.0))
            if (i, j) not in line.broken_bl:
                last = i == m - 1
                sense += [(j, len(out))] if last else []
                below = None if last else bl[i + 1, j]
                out.append((bl[i, j], below, line.r_sense if last else line.r_bl, 0.0))
        if line.drive == "both":
            end = (2 * m * n + i, 0.0) if floats[i] else (None, v[i])
            out.append((end[0], wl[i, n - 1], line.r_driver, end[1]))
    return out, sense


def tableau(g, v, line, active=None):
    """Column currents and node voltages of one array and one vector."""
    m, n = g.shape
    on = v != 0 if active is None else active
    floats = ~on & (line.inactive_rows == "floating")
    if line.inactive_rows == "gated":
        g = g * on[:, None]
    wires, sense = branches((m, n), v * on, line, floats)
    nodes = 2 * m * n + m
    a, c = np.zeros((nodes + len(wires),) * 2), np.zeros(nodes + len(wires))
    for at, value in enumerate(g.ravel()):
        other = m * n + at
        a[at, at] += value
        a[other, other] += value
        a[at, other] -= value
        a[other, at] -= value
    for k, (start, end, ohm, volt) in enumerate(wires, start=nodes):
        for node, sign in ((start, 1), (end, -1)):
            if node is not None:
                a[node, k] += sign
                a[k, node] += sign
        a[k, k] = -ohm
        c[k] = -volt
    unused = ~a.any(1)
    a[unused, unused] = 1  # source nodes of rows that do not float
    x = eliminate(a, c)
    current = np.zeros(n)
    for j, k in sense:
        current[j] = x[nodes + k]
    return current, x[: m * n].reshape(m, n), x[m * n : 2 * m * n].reshape(m, n)


def problem(m, n, seed=0, low=1e-6, high=1e-3):
    """Conductances with a tenth of the cells open, and three vectors with rows off."""
    rng = np.random.default_rng([seed, m, n])
    g = rng.uniform(low, high, (m, n)) * (rng.random((m, n)) > 0.1)
    v = rng.uniform(0.1, 1, (3, m)) * (rng.random((3, m)) < 0.6)
    v[:, 0] = 0.5
    return g, v


def relative(found, truth):
    return float(np.abs(np.asarray(found) - truth).max() / max(np.abs(truth).max(), 1e-300))


class CrossbarContract:
    """What holds for any solver; `solve(g, v, line)` gives column currents."""

    tolerance = 1e-10
    exact_rows = ("grounded", "floating", "gated")

    def solve(self, g, v, line, active=None):
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def only_exact_rows(self, request):
        rows = getattr(request.node, "callspec", None)
        rows = rows.params.get("rows", "grounded") if rows else "grounded"
        if rows not in self.exact_rows:
            pytest.skip(f"an estimate where rows are {rows}; see test_crossbar_estimate.py")

    def numbers(self, g, v, line):
        return self.solve(torch.tensor(g), torch.tensor(v), line).numpy()

    @pytest.mark.parametrize("shape", SIZES)
    def test_no_wires_is_a_matrix_product(self, shape):
        g, v = problem(*shape)
        assert relative(self.numbers(g, v, LineResistance()), v @ g) < self.tolerance

    @pytest.mark.parametrize("drive", ["left", "both"])
    @pytest.mark.parametrize("rows", ROWS)
    @pytest.mark.parametrize("shape", SIZES)
    def test_agrees_with_the_nodal_solution(self, shape, rows, drive):
        g, v = problem(*shape)
        g[:, -1] = 1e-4  # a floating row of open cells has no voltage in the nodal solution
        line = LineResistance(**WIRES, inactive_rows=rows, drive=drive)
        truth = np.stack([tableau(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    def test_a_stated_activity_overrides_the_voltages(self):
        g, v = problem(5, 6)
        line = LineResistance(**WIRES, inactive_rows="floating")
        active = np.array([True, True, False, True, False])
        found = self.solve(
            torch.tensor(g), torch.tensor(v), line, active=torch.tensor(active).expand(3, 5)
        )
        truth = np.stack([tableau(g, x, line, active)[0] for x in v])
        assert relative(found.numpy(), truth) < self.tolerance

    @pytest.mark.parametrize("zero", [("r_wl",), ("r_bl", "r_sense"), ("r_driver", "r_sense")])
    def test_zero_resistances(self, zero):
        g, v = problem(6, 5)
        line = LineResistance(**{**WIRES, **dict.fromkeys(zero, 0.0)})
        truth = np.stack([tableau(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    def test_open_and_shorted_cells(self):
        g, v = problem(6, 5)
        g[2] = 0.0
        g[1, 3] = g[4, 0] = 1e3  # 1 mohm
        line = LineResistance(**WIRES)
        truth = np.stack([tableau(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    @pytest.mark.parametrize("rows", ["grounded", "floating"])
    def test_broken_wires(self, rows):
        g, v = problem(6, 5)
        g[:, 1:3] = 1e-4
        line = LineResistance(
            **WIRES, broken_wl=((2, 2), (4, 0)), broken_bl=((3, 1), (5, 3)), inactive_rows=rows
        )
        truth = np.stack([tableau(g, x, line)[0] for x in v])
        found = self.numbers(g, v, line)
        assert relative(found, truth) < self.tolerance
        assert abs(found[:, 3]).max() < 1e-15  # that column's sense wire is gone

    def test_reciprocity(self):
        """Drive and sense exchanged with the array transposed: the transpose of the same matrix."""
        g, _ = problem(6, 5)
        mirrored = np.ascontiguousarray(g[::-1, ::-1].T)
        line = LineResistance(r_wl=2.0, r_bl=3.0, r_driver=50.0, r_sense=30.0)
        swapped = LineResistance(r_wl=3.0, r_bl=2.0, r_driver=30.0, r_sense=50.0)
        one = self.solve(torch.tensor(g), torch.eye(6).double(), line).numpy()
        two = self.solve(torch.tensor(mirrored), torch.eye(5).double(), swapped).numpy()
        assert relative(two[::-1, ::-1].T, one) < self.tolerance

    def test_batches_are_their_tiles(self):
        g = np.stack([problem(5, 4, seed)[0] for seed in range(6)]).reshape(2, 3, 5, 4)
        v = np.stack([problem(5, 4, seed)[1] for seed in range(3)])
        line = LineResistance(**WIRES)
        together = self.numbers(g, v, line)
        assert together.shape == (2, 3, 3, 4)
        for i in range(2):
            for j in range(3):
                alone = self.numbers(g[i, j], v[j], line)
                assert relative(together[i, j], alone) < self.tolerance

    @pytest.mark.parametrize("drive", ["left", "both"])
    @pytest.mark.parametrize("rows", ROWS)
    def test_gradients(self, rows, drive):
        torch.manual_seed(3)
        g = torch.rand(2, 4, 3, dtype=torch.float64, requires_grad=True)
        v = torch.rand(2, 2, 4, dtype=torch.float64)
        v[:, :, 2] = 0
        v[:, 0, 1] = 0
        active = v != 0
        v.requires_grad_()
        r = [torch.tensor(x).double().requires_grad_() for x in (0.1, 0.2, 0.5, 0.3)]

        def currents(g, v, *r):
            names = ("r_wl", "r_bl", "r_driver", "r_sense")
            line = LineResistance(
                **dict(zip(names, r, strict=True)), drive=drive, inactive_rows=rows
            )
            return self.solve(g, v, line, active=active)

        assert torch.autograd.gradcheck(currents, (g, v, *r), atol=1e-7, rtol=1e-5)


class TestExact(CrossbarContract):
    tolerance = 1e-12

    def solve(self, g, v, line, active=None):
        return column_currents(g, v, line, active=active)


class TestNodes(CrossbarContract):
    """Currents that come with the node voltages."""

    tolerance = 1e-12
    test_gradients = None  # node voltages are read, not differentiated

    def solve(self, g, v, line, active=None):
        return node_voltages(g, v, line, active=active).column_current

    @pytest.mark.parametrize("drive", ["left", "both"])
    @pytest.mark.parametrize("rows", ROWS)
    def test_every_node(self, rows, drive):
        g, v = problem(7, 10)
        g[:, -1] = 1e-4
        line = LineResistance(**WIRES, inactive_rows=rows, drive=drive)
        found = node_voltages(torch.tensor(g), torch.tensor(v), line)
        for k, x in enumerate(v):
            _, wordline, bitline = tableau(g, x, line)
            assert relative(found.wordline[k], wordline) < 1e-12
            assert relative(found.bitline[k], bitline) < 1e-12


class TestIterative(CrossbarContract):
    tolerance = 1e-9  # residuals of 1e-13, in arrays of shorts and opens

    def solve(self, g, v, line, active=None):
        return solve_iterative(g, v, line, active=active, tolerance=1e-13).column_current


class TestNonlinearOfOhmicCells(CrossbarContract):
    """A sinh cell of no nonlinearity is a resistor."""

    tolerance = 1e-9

    def solve(self, g, v, line, active=None):
        found = solve_nonlinear(g, v, line, active=active, nonlinearity=0.0, tolerance=1e-13)
        return found.column_current


class TestAnchoredEstimate(CrossbarContract):
    """At its own anchor, with all rows driven or grounded, the estimate is exact."""

    tolerance = 1e-12
    exact_rows = ("grounded",)
    test_a_stated_activity_overrides_the_voltages = None  # of floating rows
    test_gradients = None  # the closed form's; see test_crossbar_estimate.py

    def solve(self, g, v, line, active=None):
        return anchored_estimate(g, line).column_currents(g, v, active=active)


def spice_currents(g, v, line, folder):
    """Column currents by ngspice, from a netlist of one array and one vector."""
    m, n = g.shape
    wires, sense = branches((m, n), v, line, np.zeros(m, bool))
    name = lambda node: "0" if node is None else f"n{node}"  # noqa: E731
    lines = ["crossbar"]
    lines += [f"Rc{k} n{k} n{m * n + k} {1 / g.flat[k]:.17g}" for k in range(m * n)]
    for k, (start, end, ohm, volt) in enumerate(wires):
        if start is None:
            lines.append(f"V{k} s{k} 0 {volt:.17g}")
        lines.append(f"R{k} {f's{k}' if start is None else name(start)} {name(end)} {ohm:.17g}")
    outputs = " ".join(f"v(n{wires[k][0]})" for _, k in sense)
    lines += [".options reltol=1e-12 gmin=1e-30", ".op", ".control", "set numdgt=15", "run"]
    lines += [f"print {outputs}", ".endc", ".end"]
    netlist = folder / "crossbar.cir"
    netlist.write_text("\n".join(lines))
    done = subprocess.run(
        ["ngspice", "-b", str(netlist)], capture_output=True, text=True, check=True
    )
    found = [x.split("=")[1] for x in done.stdout.splitlines() if x.startswith("v(")]
    return np.array([float(x) for x in found]) / line.r_sense


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
@pytest.mark.parametrize("drive", ["left", "both"])
def test_agrees_with_ngspice(tmp_path, drive):
    rng = np.random.default_rng(8)
    g, v = rng.choice([1e-6, 20e-6, 40e-6, 1e-3], (12, 9)), rng.uniform(0, 1, 12)
    line = LineResistance(**WIRES, drive=drive)
    found = column_currents(torch.tensor(g), torch.tensor(v[None]), line)[0].numpy()
    assert relative(found, spice_currents(g, v, line, tmp_path)) < 1e-10


def test_effective_matrix_of_a_known_array():
    """128 x 128 cells of 50 uS at 0.2 V: 0.81 mA in the first column, 0.61 mA in the last."""
    g = torch.full((128, 128), 50e-6, dtype=torch.float64)
    line = LineResistance(r_wl=1.0, r_bl=1.0, r_driver=50.0, r_sense=10.0)
    current = 0.2 * effective_matrix(g, line).sum(0)
    assert float(current[0]) == pytest.approx(0.81e-3, abs=0.005e-3)
    assert float(current[-1]) == pytest.approx(0.61e-3, abs=0.005e-3)


def test_float32_keeps_its_digits():
    g, _ = problem(33, 40)
    line = LineResistance(**WIRES)
    exact = effective_matrix(torch.tensor(g), line).numpy()
    single = effective_matrix(torch.tensor(g, dtype=torch.float32), line)
    assert single.dtype == torch.float32
    assert relative(single, exact) < 2e-6  # 16 units in the last place


@pytest.mark.parametrize("size", [130, 288])
def test_large_joints_in_batches(size):
    """Batched LU of torch 2.13 fails from 160 on: a batch must give what its tiles give alone."""
    torch.manual_seed(0)
    g = torch.rand(2, size, 6, dtype=torch.float64) * 1e-4
    wide = torch.rand(2, 2 * size // 3, 2 * size // 3, dtype=torch.float64) * 1e-4
    line = LineResistance(**WIRES)
    for x in (g, wide):
        together = effective_matrix(x, line)
        alone = torch.stack([effective_matrix(tile, line) for tile in x])
        assert relative(together, alone.numpy()) < 1e-12
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert relative(effective_matrix(wide, line), alone.numpy()) < 1e-12
    finally:
        torch.set_num_threads(threads)
