"""The fast estimate and its certificate against the exact solver."""

import dataclasses

import numpy as np
import pytest
import torch

from rramfit.array import (
    LineResistance,
    alpha_beta,
    anchored_estimate,
    certify,
    column_currents,
    effective_matrix,
    smooth_estimate,
)
from rramfit.errors import ArrayError, RramfitWarning

LEVELS = (1 / 5e3, 1 / 12e3, 1 / 30e3)  # [S]


def tiles(count, shape=(128, 128), seed=0):
    rng = np.random.default_rng([seed, count])
    return torch.tensor(rng.choice(LEVELS, (count, *shape)))


def off_anchor(g, spread=0.15, seed=5):
    rng = np.random.default_rng(seed)
    return g * torch.tensor(1 + spread * rng.standard_normal(g.shape)).clamp(0.3, 2)


def half_on(rows=128, vectors=32, seed=9):
    rng = np.random.default_rng(seed)
    return torch.tensor(0.2 * (rng.random((1, vectors, rows)) < 0.5))


def lines(r, **more):
    return LineResistance(r_wl=r, r_bl=r, r_driver=r, r_sense=r, **more)


def rms_of_mean(found, exact):
    """Return the rms error of column currents in % of their mean."""
    return float((found - exact).square().mean().sqrt() / exact.mean() * 100)


@pytest.mark.parametrize(
    ("ohm", "lost", "anchored", "smooth"), [(0.5, 36, 0.1, 1.0), (2.0, 68, 0.5, 5.0)]
)
def test_accuracy_at_128(ohm, lost, anchored, smooth):
    """128 x 128 cells of 5/12/30 kohm, half the rows on."""
    line, v = lines(ohm), half_on()
    g, new = tiles(2), tiles(2, seed=1)
    moved = off_anchor(g)
    exact = column_currents(moved, v, line)
    drop = 100 * (1 - float(exact.mean() / (v @ moved).mean()))
    found = {
        "closed form": rms_of_mean(v @ alpha_beta(moved, line)[0], exact),
        "anchored": rms_of_mean(anchored_estimate(g, line).column_currents(moved, v), exact),
        "smooth": rms_of_mean(
            smooth_estimate(g, line).column_currents(new, v), column_currents(new, v, line)
        ),
    }
    assert drop == pytest.approx(lost, abs=1)
    assert found["anchored"] <= anchored
    assert found["smooth"] <= smooth
    assert found["smooth"] < found["closed form"] / 3


@pytest.mark.parametrize("rows", ["gated", "floating"])
def test_rows_that_are_never_active_do_not_count(rows):
    """A matrix of few inputs: active rows are in one half of each tile, not the same half."""
    g = tiles(2, (64, 64))
    line = lines(2.0, inactive_rows=rows)
    used = torch.arange(64).expand(2, 64) < 32
    used = torch.stack((used[0], used[1].flip(0)))
    v = half_on(64) * used[:, None]
    exact = column_currents(off_anchor(g), v, line)
    errors = {}
    for named in (None, used):
        estimate = anchored_estimate(g, line, rows=named)
        errors[named is None] = rms_of_mean(estimate.column_currents(off_anchor(g), v), exact)
    assert errors[False] < 0.5 * errors[True]
    everywhere = torch.ones(64, dtype=torch.bool)
    same = anchored_estimate(g, line, rows=everywhere).column_currents(g, v)
    assert torch.allclose(same, anchored_estimate(g, line).column_currents(g, v), rtol=1e-12)


@pytest.mark.parametrize("drive", ["left", "both"])
@pytest.mark.parametrize("rows", ["gated", "floating"])
def test_rows_that_change_the_matrix_are_within_the_certificate(rows, drive):
    g = tiles(2, (64, 64))
    line = lines(2.0, inactive_rows=rows, drive=drive)
    estimate = anchored_estimate(g, line)
    assert certify(estimate, off_anchor(g), half_on(64)).p99 < 3
    grounded = anchored_estimate(g, lines(2.0, drive=drive))
    plain = grounded.column_currents(g, half_on(64))
    exact = column_currents(g, half_on(64), line)
    by_share = estimate.column_currents(g, half_on(64))
    assert rms_of_mean(by_share, exact) < rms_of_mean(plain, exact) / 4


def test_a_share_between_two_kept_ones_is_interpolated():
    g = tiles(1, (16, 12))
    estimate = anchored_estimate(g, lines(2.0, inactive_rows="gated"), densities=(0.25, 0.75))
    v = torch.zeros(1, 3, 16, dtype=torch.float64)
    v[:, 0, :4], v[:, 1, :8], v[:, 2, :12] = 0.2, 0.2, 0.2
    t = estimate.matrices(g)
    truth = torch.stack([v[0, 0] @ t[0, 0], v[0, 1] @ (t[0, 0] + t[1, 0]) / 2, v[0, 2] @ t[1, 0]])
    assert torch.allclose(estimate.column_currents(g, v)[0], truth, rtol=1e-12, atol=0)


@pytest.mark.parametrize("share", [0.04, 0.1, 0.2, 0.4, 0.6])
def test_two_terms_are_more_accurate_than_separate_shares(share):
    """Gated rows: a third term would add only the noise of the random sets of rows."""
    g = tiles(2, (64, 64))
    estimate = anchored_estimate(g, lines(2.0, inactive_rows="gated"))
    separate = dataclasses.replace(estimate, weights=torch.eye(5, dtype=torch.float64))
    rng = np.random.default_rng(3)
    v = torch.tensor(0.2 * (rng.random((1, 64, 64)) < share))
    exact = column_currents(off_anchor(g), v, estimate.line)
    few, each = (
        rms_of_mean(e.column_currents(off_anchor(g), v), exact) for e in (estimate, separate)
    )
    assert estimate.weights.shape == (5, 2)
    assert few < each


def test_certificate_detects_an_anchor_of_other_cells():
    old, new = tiles(1), tiles(1, seed=4)
    estimate = anchored_estimate(old, lines(2.0))
    assert certify(estimate, off_anchor(old), half_on()).ok
    with pytest.warns(RramfitWarning, match="renew the anchor"):
        certificate = certify(estimate, new, half_on())
    assert not certificate.ok
    assert "99th percentile" in certificate.summary()


def test_certificate_has_the_measured_error():
    g, v = tiles(3, (20, 15)), half_on(20, 50)
    estimate = smooth_estimate(g, lines(2.0), degree=1)
    exact = column_currents(g, v, estimate.line)
    error = (estimate.column_currents(g, v) - exact).abs().flatten().numpy()
    found = certify(estimate, g, v, full_scale=1e-3)
    assert found.rms == pytest.approx(100 * np.sqrt((error**2).mean()) / 1e-3)
    assert found.p99 == pytest.approx(100 * np.quantile(error, 0.99) / 1e-3, rel=0.02)
    assert (found.tiles, found.vectors) == (3, 50)
    with pytest.raises(ArrayError, match="no column carries"):
        certify(estimate, g, torch.zeros_like(v))


@pytest.mark.parametrize("drive", ["left", "both"])
@pytest.mark.parametrize("rows", ["grounded", "gated"])
def test_gradients(rows, drive):
    g = tiles(2, (5, 4)) * 1e4
    line = lines(0.01, drive=drive, inactive_rows=rows)
    estimate = anchored_estimate(g, line)
    v = half_on(5, 3)
    r = torch.tensor([0.01, 0.02, 0.03, 0.04], dtype=torch.float64, requires_grad=True)

    def currents(g, v, r):
        wires = dataclasses.replace(line, r_wl=r[0], r_bl=r[1], r_driver=r[2], r_sense=r[3])
        moved = dataclasses.replace(estimate, line=wires)
        return moved.column_currents(g, v, active=half_on(5, 3) != 0)

    assert torch.autograd.gradcheck(currents, (g.requires_grad_(), v.requires_grad_(), r))


def test_closed_form_is_exact_to_first_order():
    """Its error falls with the square of the resistance."""
    g = tiles(1, (12, 9))
    errors = []
    for ohm in (1.0, 0.1):
        exact = effective_matrix(g, lines(ohm))
        errors.append(float((alpha_beta(g, lines(ohm))[0] - exact).abs().max()))
    assert errors[1] < errors[0] / 80


def test_numbers_are_float64():
    """Resistances given as numbers and as tensors of float64 give the same estimate."""
    g = tiles(1, (12, 9))
    numbers = {"r_wl": 0.1, "r_bl": 0.2, "r_driver": 0.7, "r_sense": 0.3}
    tensors = {name: torch.tensor(x, dtype=torch.float64) for name, x in numbers.items()}
    for drive in ("left", "both"):
        one, two = (LineResistance(**x, drive=drive) for x in (numbers, tensors))
        assert torch.equal(alpha_beta(g, one), alpha_beta(g, two))
        assert torch.equal(smooth_estimate(g, one).correction, smooth_estimate(g, two).correction)


def test_broken_wires_need_an_anchor():
    g = tiles(1, (6, 5))
    line = lines(1.0, broken_wl=((2, 3),))
    with pytest.raises(ArrayError, match="anchored"):
        alpha_beta(g, line)
    estimate = anchored_estimate(g, line)
    assert torch.allclose(estimate.matrices(g)[0], effective_matrix(g, line), rtol=1e-12, atol=0)
