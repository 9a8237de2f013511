"""The section on wires agrees with a dense nodal solution and lists unknown resistances."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from rramfit.card import Quantity
from rramfit.card.schema import LineCard
from rramfit.measurement import MVM
from rramfit.reporting.page.document import Figure, Note, Report, Table
from rramfit.reporting.report_data.line_data import compute_line_data, known_line
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.wires import line_section

ROWS, COLS = 7, 6
R_WL, R_BL, R_DRIVER, R_SENSE = 8.0, 5.0, 60.0, 30.0


def nodal(g, v, r=(R_WL, R_BL, R_DRIVER, R_SENSE), inactive="grounded"):
    """Return the column currents [A] of one vector from a dense nodal solution."""
    m, n = g.shape
    r_wl, r_bl, r_driver, r_sense = r
    a, rhs = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def join(p, q, y):
        a[p, p] += y
        a[q, q] += y
        a[p, q] -= y
        a[q, p] -= y

    for i in range(m):
        for j in range(n):
            w, b = i * n + j, m * n + i * n + j
            join(w, b, 0.0 if inactive == "gated" and v[i] == 0 else g[i, j])
            if j:
                join(w, w - 1, 1 / r_wl)
            if i:
                join(b, b - n, 1 / r_bl)
        if inactive != "floating" or v[i] != 0:
            a[i * n, i * n] += 1 / r_driver
            rhs[i * n] += v[i] / r_driver
    last = m * n + (m - 1) * n + np.arange(n)
    a[last, last] += 1 / r_sense
    return np.linalg.solve(a, rhs)[last] / r_sense


def measured(inactive="grounded", gain=1.0):
    rng = np.random.default_rng(5)
    g = rng.choice([1e-5, 8e-5, 2e-4], (ROWS, COLS))
    v = 0.2 * (rng.random((9, ROWS)) < 0.6)
    v[:, 0] = 0.2
    exact = np.array([nodal(g, x, inactive=inactive) for x in v])
    mvm = MVM(
        voltage=v,
        current=gain * exact,
        conductance=g,
        inactive_rows=inactive,
        cell_reads="intrinsic",
    )
    return mvm, exact


def about(value: float) -> Quantity:
    return Quantity.estimated(value, 0.01 * value, "ohm")


def card(**changes) -> LineCard:
    return LineCard(
        **{
            "wordline_resistance": about(R_WL),
            "bitline_resistance": about(R_BL),
            "driver_resistance": about(R_DRIVER),
            "sense_resistance": about(R_SENSE),
            "inactive_rows": "grounded",
            **changes,
        }
    )


def section(chip, mvm, line):
    return line_section(
        ReportData(
            card=chip.card.model_copy(update={"line": line}),
            measurement=dataclasses.replace(chip.measurement, mvm=mvm),
        )
    )


@pytest.mark.parametrize("inactive", ["grounded", "floating", "gated"])
def test_predicted_currents_agree_with_the_nodal_solution(inactive):
    mvm, exact = measured(inactive, gain=1.03)
    data = compute_line_data(card(inactive_rows=inactive, gain=Quantity.given(1.03, "1")), mvm)
    np.testing.assert_allclose(data.predicted, exact, rtol=1e-5)
    np.testing.assert_allclose(data.measured, exact, rtol=1e-12)
    np.testing.assert_allclose(data.ideal, mvm.voltage @ mvm.conductance, rtol=1e-12)


def test_effective_conductance_is_the_column_current_with_one_row_driven():
    mvm, _ = measured()
    data = compute_line_data(card(), mvm)
    for i in (0, ROWS - 1):
        alone = nodal(mvm.conductance, np.eye(ROWS)[i])
        np.testing.assert_allclose(data.effect[i], alone / mvm.conductance[i], rtol=1e-9)


def test_the_series_resistance_is_subtracted_from_terminal_reads():
    mvm, exact = measured()
    i, j = np.indices((ROWS, COLS))
    path = R_DRIVER + j * R_WL + R_SENSE + (ROWS - 1 - i) * R_BL
    terminal = 1 / (1 / mvm.conductance + path)
    data = compute_line_data(
        card(), dataclasses.replace(mvm, conductance=terminal, cell_reads="terminal")
    )
    np.testing.assert_allclose(data.predicted, exact, rtol=1e-9)


def test_columns_with_unread_cells_count_as_not_measured():
    mvm, _ = measured()
    g = np.array(mvm.conductance)
    g[2, 3] = np.nan
    data = compute_line_data(card(), dataclasses.replace(mvm, conductance=g))
    assert np.isnan(data.measured).all(axis=0).tolist() == [k == 3 for k in range(COLS)]
    assert np.isfinite(data.predicted).all()


def test_a_sum_is_halved_and_unknown_resistances_are_listed(chip):
    mvm, _ = measured()
    total = "driver_resistance + sense_resistance"
    line = card(
        driver_resistance=None,
        sense_resistance=None,
        combinations={total: about(R_DRIVER + R_SENSE)},
    )
    wires = known_line(line)
    assert (wires.r_wl, wires.r_bl, wires.r_driver, wires.r_sense) == (R_WL, R_BL, 45.0, 45.0)
    blocks = section(chip, mvm, line).blocks
    rows = {r[0]: r[1] for b in blocks if isinstance(b, Table) for r in b.rows}
    assert rows["driver"] == rows["sense"] == "not identified"
    assert rows["driver + sense"].startswith("90")
    (note,) = [b for b in blocks if isinstance(b, Note)]
    assert "driver and sense" in note.text
    assert "plan-lines" in note.remedy


def test_the_section_has_figures_resistances_and_errors_of_estimates(chip):
    mvm, _ = measured()
    found = section(chip, mvm, card())
    keys = {b.key for b in found.blocks if isinstance(b, Figure)}
    assert keys == {
        "fig-currents-predicted",
        "fig-current-residuals",
        "fig-map-effective",
        "fig-column-currents",
    }
    resistances, certificate = (
        next(b for b in found.blocks if isinstance(b, Table) and b.caption.startswith(start))
        for start in ("Wire resistances", "Errors of the fast estimates")
    )
    assert [r[1] for r in resistances.rows] == [
        "8.00\xa0Ω",
        "5.00\xa0Ω",
        "60.0\xa0Ω",
        "30.0\xa0Ω",
    ]
    assert [r[0].split(",")[0] for r in certificate.rows] == ["anchored", "smooth"]
    assert all(re.fullmatch(r"[\d.e+−]+\xa0%", x) for r in certificate.rows for x in r[1:])
    assert not [b for b in found.blocks if isinstance(b, Note)]
    page = Report(title="t", sections=(found,)).to_html()
    assert page == Report(title="t", sections=(section(chip, mvm, card()),)).to_html()


def test_an_estimate_above_its_limit_is_a_warning(chip):
    """With very resistive wires and cells over two decades, the fast estimates are inaccurate."""
    mvm, _ = measured()
    hard = card(wordline_resistance=about(3e4), bitline_resistance=about(3e4))
    found = section(chip, mvm, hard)
    certificates = compute_line_data(hard, mvm).certificates
    assert not all(c.ok for c in certificates.values())
    (note,) = [b for b in found.blocks if isinstance(b, Note)]
    assert note.tone == "warning"
    assert "3 %" in note.text


def test_without_a_fit_the_section_shows_the_measured_loss(chip):
    mvm, _ = measured()
    (only,) = section(chip, mvm, None).blocks
    assert isinstance(only, Figure)
    assert only.key == "fig-column-currents"


def test_without_currents_the_section_is_a_table_of_resistances(chip):
    (only,) = section(chip, None, card()).blocks
    assert isinstance(only, Table)
