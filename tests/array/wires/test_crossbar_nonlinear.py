"""Nonlinear cells, against a general-purpose root finder and against the linear limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from rramfit.array import LineResistance, cubic_law, sinh_law, solve_iterative, solve_nonlinear
from rramfit.errors import ArrayError

WIRES = {"r_wl": 20.0, "r_bl": 30.0, "r_driver": 50.0, "r_sense": 30.0}


def arrays(shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return rng.choice([1e-5, 1e-4, 1e-3], shape), rng.uniform(-1, 1, (2, shape[0]))


def by_root_finder(g, v, b):
    """Return currents from Kirchhoff's law at every node, solved by scipy."""
    m, n = g.shape

    def balance(x):
        wl, bl = x[: m * n].reshape(m, n), x[m * n :].reshape(m, n)
        i = g * np.sinh(b * (wl - bl)) / b
        at_wl, at_bl = -i, i.copy()
        at_wl[:, 0] += (v - wl[:, 0]) / WIRES["r_driver"]
        right = (wl[:, :-1] - wl[:, 1:]) / WIRES["r_wl"]
        at_wl[:, :-1] -= right
        at_wl[:, 1:] += right
        down = (bl[:-1] - bl[1:]) / WIRES["r_bl"]
        at_bl[:-1] -= down
        at_bl[1:] += down
        at_bl[-1] -= bl[-1] / WIRES["r_sense"]
        return np.concatenate((at_wl.ravel(), at_bl.ravel()))

    start = np.concatenate((np.repeat(v, n), np.zeros(m * n)))
    found = optimize.root(balance, start, method="hybr", options={"xtol": 1e-13})
    return found.x[m * n :].reshape(m, n)[-1] / WIRES["r_sense"]


def test_sinh_cells_obey_kirchhoff():
    g, v = arrays((4, 3))
    found = solve_nonlinear(
        torch.tensor(g), torch.tensor(v), LineResistance(**WIRES), nonlinearity=3.0
    ).column_current
    for k in range(2):
        assert found[k].numpy() == pytest.approx(by_root_finder(g, v[k], 3.0), rel=1e-8)


@pytest.mark.parametrize("b", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("rows", ["grounded", "floating", "gated"])
def test_converges_up_to_one_volt(b, rows):
    """Levels over two decades, a few shorts, and wires that drop most of the voltage."""
    g, v = arrays((48, 40), seed=3)
    g[5, 7] = g[20, 30] = 1e-1
    v = np.sign(v) * np.where(np.abs(v) < 0.4, 0, 1)
    line = LineResistance(**WIRES, inactive_rows=rows)
    found = solve_nonlinear(torch.tensor(g), torch.tensor(v), line, nonlinearity=b)
    assert found.last_step <= 1e-10
    assert found.newton_steps < 30


@given(st.floats(0.01, 5).filter(lambda x: float(np.float32(x)) != x))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_nonlinearity_given_as_a_number_is_float64(b):
    line = LineResistance(r_sense=0.1)
    cell, volt = torch.tensor([[1e-3]]).double(), torch.tensor([[0.7]]).double()
    number, tensor = (
        solve_nonlinear(cell, volt, line, nonlinearity=x).column_current
        for x in (b, torch.tensor(b, dtype=torch.float64))
    )
    assert torch.equal(number, tensor)
    without_wires = solve_nonlinear(cell, volt, LineResistance(), nonlinearity=b)
    expected = float(cell) * math.sinh(b * float(volt)) / b
    assert float(without_wires.column_current) == pytest.approx(expected, rel=1e-13)


def test_small_voltages_are_ohmic():
    """At voltages where (b u)^2/6 is 1e-8 the currents differ by at most that."""
    g, v = arrays((9, 8))
    line = LineResistance(**WIRES)
    small = torch.tensor(v) * 1e-4
    linear = solve_iterative(torch.tensor(g), small, line).column_current
    for law in (sinh_law, cubic_law):
        found = solve_nonlinear(torch.tensor(g), small, line, nonlinearity=2.45, law=law)
        difference = (found.column_current - linear).abs().max() / linear.abs().max()
        assert 0 < float(difference) < 2e-8


@pytest.mark.parametrize("rows", ["grounded", "floating", "gated"])
def test_gradient_by_the_implicit_function(rows):
    torch.manual_seed(1)
    g = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    v = torch.rand(2, 3, dtype=torch.float64)
    v[0, 1] = 0
    active = v != 0
    v.requires_grad_()
    b = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    r = torch.tensor([0.1, 0.2, 0.5, 0.3], dtype=torch.float64, requires_grad=True)

    def currents(g, v, b, r):
        line = LineResistance(r_wl=r[0], r_bl=r[1], r_driver=r[2], r_sense=r[3], inactive_rows=rows)
        found = solve_nonlinear(g, v, line, nonlinearity=b, active=active, tolerance=1e-13)
        return found.column_current

    assert torch.autograd.gradcheck(currents, (g, v, b, r), atol=1e-7, rtol=1e-5)


def test_the_residual_is_reported_and_a_missed_tolerance_is_an_error():
    g, v = arrays((12, 12))
    line = LineResistance(**WIRES)
    found = solve_iterative(torch.tensor(g), torch.tensor(v), line, tolerance=1e-6)
    assert 0 < found.residual <= 1e-6
    with pytest.raises(ArrayError, match="relative residual"):
        solve_iterative(torch.tensor(g), torch.tensor(v), line, tolerance=1e-30)
    with pytest.raises(ArrayError, match="least conductance"):
        solve_iterative(torch.tensor(-g), torch.tensor(v), line)
    with pytest.raises(ArrayError, match="Newton"):
        solve_nonlinear(torch.tensor(g), torch.tensor(v), line, nonlinearity=5.0, max_newton=1)
