"""A solved array: the current lost in its cells is the loss of its columns."""

import numpy as np
import pytest

from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.solution import array_maps, lost_shares, solve_array
from rramfit.array.wires.solver_comparison import compare_solvers, estimate_certificates

WIRES = {"r_wl": 4.0, "r_bl": 3.0, "r_driver": 50.0, "r_sense": 20.0}


def problem(rows=9, cols=7, vectors=3):
    rng = np.random.default_rng(1)
    g = rng.choice([0.0, 1e-5, 2e-4], (rows, cols))
    return g, 0.3 * (rng.random((vectors, rows)) < 0.5)


@pytest.mark.parametrize("broken", [{}, {"broken_wl": ((1, 2), (4, 0)), "broken_bl": ((3, 1),)}])
@pytest.mark.parametrize("drive", ["left", "both"])
@pytest.mark.parametrize("inactive", ["grounded", "floating", "gated"])
def test_losses_of_cells_sum_to_the_losses_of_columns(inactive, drive, broken):
    """The merged matrix and the node voltages obey Kirchhoff's law together."""
    g, v = problem()
    line = LineResistance(**WIRES, inactive_rows=inactive, drive=drive, **broken)
    solution = solve_array(g, v, line)
    for k in range(len(v)):
        maps = array_maps(solution, k)
        lack = solution.ideal_current[k] - solution.column_current[k]
        size = solution.ideal_current[k].max()
        np.testing.assert_allclose(maps.lost_current.sum(0), lack, atol=1e-12 * size)
        np.testing.assert_allclose(
            maps.cell_current.sum(0), solution.column_current[k], atol=1e-12 * size
        )
        last = maps.bitline[-1]
        np.testing.assert_allclose(last, 20.0 * solution.column_current[k], atol=1e-12)


def test_loss_of_one_cell_follows_ohms_law():
    solution = solve_array(np.array([[1e-3]]), np.array([[1.0]]), LineResistance(**WIRES))
    maps = array_maps(solution)
    current = 1 / 1070
    assert maps.wordline[0, 0] == pytest.approx(1 - 50 * current)
    assert maps.bitline[0, 0] == pytest.approx(20 * current)
    assert solution.mean_lost == pytest.approx(70 / 1070)
    assert solution.worst_lost == (pytest.approx(70 / 1070), 0, 0)


def test_without_current_there_is_no_loss():
    g, v = problem()
    solution = solve_array(g, 0 * v, LineResistance(**WIRES))
    assert (solution.mean_lost, solution.worst_lost) == (0.0, (0.0, 0, 0))


def test_lost_share_of_a_column_without_current_is_undefined():
    lost = lost_shares(np.array([[0.8, 1e-9]]), np.array([[1.0, 1e-6]]))
    assert lost[0, 0] == pytest.approx(0.2)
    assert np.isnan(lost[0, 1])


@pytest.mark.parametrize("inactive", ["grounded", "floating", "gated"])
def test_certificates_agree_with_the_comparison(inactive):
    """Both use the same estimates of the same array; the certificates are in float32."""
    g, v = problem(16, 12, 4)
    line = LineResistance(**WIRES, inactive_rows=inactive)
    certificates = estimate_certificates(g, v, line, seed=3)
    runs = {r.name: r for r in compare_solvers(g, v, line, seed=3)}
    assert set(certificates) == {"anchored", "smooth"}
    for name, c in certificates.items():
        assert c.rms_of_mean == pytest.approx(runs[f"{name} estimate"].rms, rel=0.02, abs=1e-4)
    assert runs["iterative"].rms < 1e-7
    again = estimate_certificates(g, v, line, seed=3)
    assert again == certificates
