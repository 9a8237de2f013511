"""One contract for every crossbar solver, against dense nodal equations and against ngspice."""

import shutil

import numpy as np
import pytest
import torch
from circuits import nodal_solution, spice_currents
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rramfit.array import (
    LineResistance,
    anchored_estimate,
    column_currents,
    effective_matrix,
    node_voltages,
    solve_iterative,
    solve_nonlinear,
    source_matrix,
)
from rramfit.array.wires.effective import floating_matrix
from rramfit.array.wires.wire_ports import wire_ports

SIZES = [(1, 1), (1, 5), (4, 1), (5, 7), (9, 6)]
WIRES = {"r_wl": 2.0, "r_bl": 3.0, "r_driver": 50.0, "r_sense": 30.0}


def problem(m, n, seed=0, low=1e-6, high=1e-3):
    """Return conductances with a tenth of the cells open, and three vectors with rows off."""
    rng = np.random.default_rng([seed, m, n])
    g = rng.uniform(low, high, (m, n)) * (rng.random((m, n)) > 0.1)
    v = rng.uniform(0.1, 1, (3, m)) * (rng.random((3, m)) < 0.6)
    v[:, 0] = 0.5
    return g, v


def relative(found, truth):
    return float(np.abs(np.asarray(found) - truth).max() / max(np.abs(truth).max(), 1e-300))


OHMS = [0.0, 0.1, 2.0, 50.0]
SIEMENS = [0.0, 1e-6, 1e-5, 1e-4, 1e-3]
VOLTS = [0.0, -0.3, 0.5, 1.0]


@st.composite
def networks(draw):
    """Draw cells, two vectors, rows that are on, and wires in any combination of their states."""
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    cells = draw(st.lists(st.sampled_from(SIEMENS), min_size=m * n, max_size=m * n))
    volts = draw(st.lists(st.sampled_from(VOLTS), min_size=2 * m, max_size=2 * m))
    on = draw(st.none() | st.lists(st.booleans(), min_size=m, max_size=m))
    places = st.lists(st.tuples(st.integers(0, m - 1), st.integers(0, n - 1)), max_size=3)
    wires = {name: draw(st.sampled_from(OHMS)) for name in WIRES}
    wires |= {"broken_wl": tuple(draw(places)), "broken_bl": tuple(draw(places))}
    v = np.reshape(volts, (2, m))
    return np.reshape(cells, (m, n)), v, v != 0 if on is None else np.tile(on, (2, 1)), wires


def fixed_network(m, n, v, **wires):
    """Return one case of `networks`, with cells of 10 and 100 uS."""
    g, v = np.where(np.indices((m, n)).sum(0) % 2, 1e-5, 1e-4), np.array([v, v])
    wires = dict.fromkeys(WIRES, 2.0) | {"broken_wl": (), "broken_bl": ()} | wires
    return g, v, v != 0, wires


class CrossbarContract:
    """Tests of any solver; `solve(g, v, line)` returns column currents."""

    tolerance = 1e-10
    exact_rows = ("grounded", "floating", "gated")  # states of inactive rows that it is exact for

    def pytest_generate_tests(self, metafunc):
        """Run tests with an argument `rows` for each state that the solver is exact for."""
        states = metafunc.cls.exact_rows
        if metafunc.function.__name__ == "test_broken_wires":  # gated rows leave nodes without path
            states = [rows for rows in states if rows != "gated"]
        if "rows" in metafunc.fixturenames:
            metafunc.parametrize("rows", states)

    def solve(self, g, v, line, active=None):
        raise NotImplementedError

    def numbers(self, g, v, line):
        return self.solve(torch.tensor(g), torch.tensor(v), line).numpy()

    @pytest.mark.parametrize("shape", SIZES)
    def test_no_wires_is_a_matrix_product(self, shape):
        g, v = problem(*shape)
        assert relative(self.numbers(g, v, LineResistance()), v @ g) < self.tolerance

    @pytest.mark.parametrize("drive", ["left", "both"])
    @pytest.mark.parametrize("shape", SIZES)
    def test_agrees_with_the_nodal_solution(self, shape, rows, drive):
        g, v = problem(*shape)
        g[:, -1] = 1e-4  # a floating row of open cells has no voltage in the nodal solution
        line = LineResistance(**WIRES, inactive_rows=rows, drive=drive)
        truth = np.stack([nodal_solution(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    def test_a_stated_activity_overrides_the_voltages(self):
        g, v = problem(5, 6)
        line = LineResistance(**WIRES, inactive_rows="floating")
        active = np.array([True, True, False, True, False])
        found = self.solve(
            torch.tensor(g), torch.tensor(v), line, active=torch.tensor(active).expand(3, 5)
        )
        truth = np.stack([nodal_solution(g, x, line, active)[0] for x in v])
        assert relative(found.numpy(), truth) < self.tolerance

    @pytest.mark.parametrize("zero", [("r_wl",), ("r_bl", "r_sense"), ("r_driver", "r_sense")])
    def test_zero_resistances(self, zero):
        g, v = problem(6, 5)
        line = LineResistance(**{**WIRES, **dict.fromkeys(zero, 0.0)})
        truth = np.stack([nodal_solution(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    def test_open_and_shorted_cells(self):
        g, v = problem(6, 5)
        g[2] = 0.0
        g[1, 3] = g[4, 0] = 1e3  # 1 mohm
        line = LineResistance(**WIRES)
        truth = np.stack([nodal_solution(g, x, line)[0] for x in v])
        assert relative(self.numbers(g, v, line), truth) < self.tolerance

    def test_broken_wires(self, rows):
        g, v = problem(6, 5)
        g[:, 1:3] = 1e-4
        line = LineResistance(
            **WIRES, broken_wl=((2, 2), (4, 0)), broken_bl=((3, 1), (5, 3)), inactive_rows=rows
        )
        truth = np.stack([nodal_solution(g, x, line)[0] for x in v])
        found = self.numbers(g, v, line)
        assert relative(found, truth) < self.tolerance
        assert abs(found[:, 3]).max() < 1e-15  # that column's sense wire is gone

    @pytest.mark.parametrize("drive", ["left", "both"])
    @example(fixed_network(4, 5, [1.0, 0.5, 0.0, 1.0], broken_wl=((1, 2),)))
    @example(fixed_network(4, 5, [1.0, 0.0, 0.0, 1.0], broken_wl=((1, 2), (1, 4))))
    @example(fixed_network(3, 3, [0.0, 1.0, 0.5], broken_wl=((1, 0), (0, 2)), broken_bl=((1, 1),)))
    @example(fixed_network(1, 1, [1.0], broken_wl=((0, 0),), broken_bl=((0, 0),)))
    @example(fixed_network(2, 1, [1.0, 0.0], r_driver=0.0, broken_wl=((1, 0),)))
    @given(networks())
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    def test_any_network(self, rows, drive, network):
        """Any broken segments, any zero resistances, any rows on, in every state of the others."""
        g, v, on, wires = network
        line = LineResistance(**wires, inactive_rows=rows, drive=drive)
        found = self.solve(torch.tensor(g), torch.tensor(v), line, active=torch.tensor(on))
        truth = np.stack([nodal_solution(g, x, line, o)[0] for x, o in zip(v, on, strict=True)])
        largest = (np.abs(v) @ g).max()  # through wires without resistance
        assert np.abs(found.numpy() - truth).max() <= max(self.tolerance, 1e-11) * largest

    @given(st.lists(st.floats(1e-3, 100).filter(lambda x: float(np.float32(x)) != x), min_size=4))
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @example([0.1, 0.2, 0.3, 0.7])
    def test_numbers_are_float64(self, ohms):
        """Resistances given as numbers and as tensors of float64 are the same."""
        g, v = problem(3, 4)
        wires = dict(zip(WIRES, ohms, strict=False))
        tensors = {name: torch.tensor(x, dtype=torch.float64) for name, x in wires.items()}
        found, same = (self.numbers(g, v, LineResistance(**x)) for x in (wires, tensors))
        np.testing.assert_array_equal(found, same)
        cell = np.array([[1e-3]])
        one = self.numbers(cell, np.array([[1.0]]), LineResistance(**wires))
        assert one[0, 0] == pytest.approx(1 / (1e3 + sum(ohms[2:4])), rel=1e-14)

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

    @pytest.mark.parametrize("broken", [{}, {"broken_wl": ((1, 1),), "broken_bl": ((0, 2),)}])
    @pytest.mark.parametrize("drive", ["left", "both"])
    def test_gradients(self, rows, drive, broken):
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
                **dict(zip(names, r, strict=True)), drive=drive, inactive_rows=rows, **broken
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
    def test_every_node(self, rows, drive):
        g, v = problem(7, 10)
        g[:, -1] = 1e-4
        line = LineResistance(**WIRES, inactive_rows=rows, drive=drive)
        found = node_voltages(torch.tensor(g), torch.tensor(v), line)
        for k, x in enumerate(v):
            _, wordline, bitline = nodal_solution(g, x, line)
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


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
@pytest.mark.parametrize("broken", [{}, {"broken_wl": ((4, 3), (7, 0)), "broken_bl": ((5, 2),)}])
@pytest.mark.parametrize("drive", ["left", "both"])
@pytest.mark.parametrize("rows", ["grounded", "floating", "gated"])
def test_agrees_with_ngspice(tmp_path, drive, rows, broken):
    rng = np.random.default_rng(8)
    g, v = rng.choice([1e-6, 20e-6, 40e-6, 1e-3], (12, 9)), rng.uniform(0, 1, 12)
    v[2:9:3] = 0
    line = LineResistance(**WIRES, drive=drive, inactive_rows=rows, **broken)
    found = column_currents(torch.tensor(g), torch.tensor(v[None]), line)[0].numpy()
    assert relative(found, spice_currents(g, v, line, tmp_path)) < 1e-10


@pytest.mark.parametrize("solve", [column_currents, solve_iterative])
def test_a_floating_row_driven_at_both_ends_is_its_cells_in_series(solve):
    """Its drivers are off: current enters and leaves it through its two cells alone."""
    cells, r_wl, r_sense, volt = np.array([[1e-3, 2e-3], [3e-3, 4e-3]]), 100.0, 200.0, 0.5
    line = LineResistance(r_wl=r_wl, r_sense=r_sense, drive="both", inactive_rows="floating")
    found = solve(torch.tensor(cells), torch.tensor([[volt, 0.0]]).double(), line)
    series = 1 / (1 / cells[1, 0] + r_wl + 1 / cells[1, 1])
    across = np.array([[1, -1], [-1, 1]]) * series
    nodes = np.linalg.solve(np.diag(cells[0] + 1 / r_sense) + across, volt * cells[0])
    current = found if solve is column_currents else found.column_current
    np.testing.assert_allclose(current[0], nodes / r_sense, rtol=1e-11)


@pytest.mark.parametrize("broken", [(), ((1, 2), (3, 0))])
@pytest.mark.parametrize("drive", ["left", "both"])
def test_matrix_of_floating_rows_gives_their_currents(drive, broken):
    g, v = problem(6, 5)
    line = LineResistance(**WIRES, drive=drive, inactive_rows="floating", broken_wl=broken)
    cells, on = torch.tensor(g), torch.tensor([True, False, True, True, False, False])
    t = floating_matrix(wire_ports(torch.stack((cells, 2 * cells)), line), on)
    for k, tile in enumerate((g, 2 * g)):
        truth = np.stack([nodal_solution(tile, x, line, on.numpy())[0] for x in v])
        assert relative((torch.tensor(v) @ t[k]).numpy(), truth) < 1e-12


@pytest.mark.parametrize("drive", ["left", "both"])
def test_source_currents_with_broken_segments(drive):
    """The current into the rows leaves through the columns, with any broken segments."""
    g, _ = problem(6, 5)
    line = LineResistance(
        **WIRES, drive=drive, broken_wl=((1, 2), (1, 4), (3, 0)), broken_bl=((2, 1),)
    )
    t, a = source_matrix(torch.tensor(g), line)
    assert torch.allclose(a.sum(0), t.sum(1), rtol=1e-12, atol=1e-18)
    assert torch.allclose(a, a.T, rtol=1e-12, atol=1e-18)


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
