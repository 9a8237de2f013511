"""Factors are listed as active if they are on and the card or the measured chip has them."""

import numpy as np
import pytest
import torch
from cases import TILE, full_card

from rramfit.array import ReplayedChips
from rramfit.card.cells import CellMaps, Fault
from rramfit.errors import MappingError
from rramfit.mapping import FACTORS, analog_setup
from rramfit.mapping.tiles.active_factors import active_factors
from rramfit.measurement.virtual.cards import virtual_card

LEVELS = 3
PLAIN = ("quantisation", "d2d", "c2c", "dac", "adc")


def plain_card(**options):
    return virtual_card("plain", mean=(30e-6, 80e-6, 130e-6), spread=0.1, array=TILE, **options)


def cells(fault=Fault.OK, *, hard=0.0, levels=LEVELS):
    faults = np.zeros(TILE, dtype=np.int8)
    faults[0] = fault
    return CellMaps(
        fault=faults,
        offset=np.zeros((levels, *TILE)),
        hard_posterior=np.full((levels, *TILE), hard),
    )


def replayed(levels=LEVELS):
    there = torch.ones(2, levels, *TILE)
    return ReplayedChips(conductance=50e-6 * there, accepted=there > 0)


def test_a_full_card_has_all_factors():
    setup = analog_setup(full_card(), tile=TILE, time=10.0, chip_spread=0.02)
    assert active_factors(setup) == FACTORS


def test_what_a_card_does_not_have_is_not_active():
    assert active_factors(analog_setup(plain_card(), tile=TILE, time=10.0)) == PLAIN


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"soft": 0.01}, "failure"),
        ({"hard": 0.01}, "failure"),
        ({"stuck": {"low": 0.01, "low_conductance": 1e-6}}, "stuck"),
        ({"stuck": {"dead_cols": 0.01}}, "dead_lines"),
        ({"field_share": 0.3, "field_length": 4.0}, "field"),
        ({"row_trend": 0.001}, "trend"),
        ({"read": 0.01}, "read"),
    ],
)
def test_one_factor_of_the_card_is_active_unless_switched_off(options, factor):
    card = plain_card(**options)
    found = active_factors(analog_setup(card, tile=TILE))
    assert set(found) - set(PLAIN) == {factor}
    off = [f for f in FACTORS if f != factor]
    assert active_factors(analog_setup(card, tile=TILE, factors=off)) == PLAIN


@pytest.mark.parametrize(("share", "factor"), [(1.0, "c2c"), (0.0, "d2d")])
def test_variation_of_one_kind_is_not_of_the_other(share, factor):
    found = active_factors(analog_setup(plain_card(between_cells=share), tile=TILE))
    assert set(PLAIN) - set(found) == {factor}


@pytest.mark.parametrize(
    ("origin", "more"),
    [
        (cells(), set()),
        (cells(Fault.STUCK_MIDDLE), {"stuck"}),
        (cells(Fault.DEAD_ROW), {"dead_lines"}),
        (cells(hard=0.2), {"failure"}),
    ],
    ids=["sound", "stuck", "dead row", "hard"],
)
def test_faults_are_those_of_the_measured_chip(origin, more):
    assert set(active_factors(analog_setup(plain_card(), tile=TILE, origin=origin))) == {
        *PLAIN,
        *more,
    }


def test_measured_conductances_leave_no_factor_of_cells():
    found = active_factors(analog_setup(full_card(), tile=TILE, origin=replayed(), time=10.0))
    assert found == ("quantisation", "wires", "dac", "adc", "readout")


@pytest.mark.parametrize("origin", [cells(levels=2), replayed(levels=2)])
def test_a_chip_of_another_number_of_levels_is_refused(origin):
    with pytest.raises(MappingError, match=r"has 2 levels and card plain 3\. Use the .* of this"):
        analog_setup(plain_card(), tile=TILE, origin=origin)
