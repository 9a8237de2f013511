"""Plans of input patterns: a fit of the patterns reaches the predicted standard errors."""

import dataclasses

import numpy as np
import pytest
import torch

from rramfit.array import LineResistance, column_currents
from rramfit.errors import FitError
from rramfit.fitting.electrical.line_fit import fit_line_resistance
from rramfit.fitting.electrical.line_plan import PATTERN_KINDS, plan_lines
from rramfit.measurement.file.record import MVM

LINE = LineResistance(r_wl=2.0, r_bl=1.0, r_driver=50.0, r_sense=30.0)


def cells(shape=(32, 24)):
    return np.random.default_rng(0).choice([2e-5, 1e-4, 2e-4], shape)


def measured(voltage, g, seed):
    rng = np.random.default_rng(seed)
    exact = column_currents(torch.tensor(g), torch.tensor(voltage), LINE).numpy()
    return MVM(
        voltage=voltage.copy(),
        current=exact * (1 + 0.01 * rng.standard_normal(exact.shape)),
        conductance=g * (1 + 0.005 * rng.standard_normal(g.shape)),
        inactive_rows="grounded",
        cell_reads="intrinsic",
    )


@pytest.mark.parametrize("wanted", [{"bitline_resistance": 0.15}, {"driver_resistance": 5.0}])
def test_fit_reaches_the_predicted_standard_errors(wanted):
    g = cells()
    plan = plan_lines(g, LINE, wanted=wanted)
    assert plan.met
    fit = fit_line_resistance(measured(plan.voltage, g, 3))
    for name, predicted in plan.stderr.items():
        if name in fit.result.estimates:
            assert fit.result.estimates[name].stderr == pytest.approx(predicted, rel=0.3)
    (name,) = wanted
    assert plan.stderr[name] <= wanted[name]
    assert "wanted" in plan.summary()


def test_more_patterns_reduce_errors_and_the_smallest_set_is_proposed():
    plan = plan_lines(cells(), LINE, wanted={"sense_resistance": 2.0}, max_patterns=16)
    for kind in PATTERN_KINDS:
        errors = [s["sense_resistance"] for (k, _), s in plan.compared.items() if k == kind]
        assert errors == sorted(errors, reverse=True)
    frame = plan.to_frame()
    assert len(frame) == len(PATTERN_KINDS) * 3
    shorter = [n for (k, n), s in plan.compared.items() if s["sense_resistance"] <= 2.0]
    assert len(plan.voltage) == min(shorter)


def test_unreachable_standard_errors_are_reported():
    plan = plan_lines(cells(), LINE, wanted={"driver_resistance": 1e-6}, max_patterns=8)
    assert not plan.met
    assert "the wanted standard errors are not reached" in plan.summary()
    with pytest.raises(FitError, match="found r_wl; expected values above 0"):
        plan_lines(cells(), LINE, wanted={"r_wl": 1.0})


def test_floating_rows_give_larger_errors_than_grounded_rows():
    """Sneak paths through floating rows make driver resistance and gain hard to separate."""
    wanted = {"driver_resistance": 5.0}
    grounded = plan_lines(cells(), LINE, wanted=wanted, max_patterns=16)
    floating = plan_lines(
        cells(), dataclasses.replace(LINE, inactive_rows="floating"), wanted=wanted, max_patterns=16
    )
    key = ("one row", 16)
    names = ("driver_resistance", "sense_resistance")
    one = [grounded.compared[key][n] for n in names]
    two = [floating.compared[key][n] for n in names]
    assert max(two) > max(one)
