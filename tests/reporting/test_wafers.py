"""Wafers that differ from the others of a lot: found, named, and not by chance."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from rramfit.card import Quantity, seal
from rramfit.fitting.characterization import characterize
from rramfit.measurement import synthesize
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.lots import LotTable, Row, lot_report, row_of_card
from rramfit.reporting.lots.compare.wafers import wafer_differences
from rramfit.reporting.lots.wafer_maps import wafer_maps

CARD = random_card(3, levels=2, array=(16, 16))
ROW = row_of_card(CARD, "x.h5", report=False)
PLACES = ("levels[0].mean", "levels[1].mean", "levels[0].std")


def virtual_lot(seed, shift=None, dies=20, die_std=0.02):
    """Return the rows of 3 wafers x dies x 4 tiles; `shift` multiplies PLACES[1] by wafer."""
    rng = np.random.default_rng(seed)
    rows = []
    for wafer in ("W1", "W2", "W3"):
        for die in range(dies):
            of_die = rng.normal(1, die_std, len(PLACES))
            for tile in range(4):
                of_tile = of_die * rng.normal(1, 0.01, len(PLACES))
                of_tile[1] *= (shift or {}).get(wafer, 1.0)
                values = dict(zip(PLACES, of_tile, strict=True))
                rows.append(
                    Row(
                        file="x.h5",
                        name=f"{wafer}-{die}-{tile}",
                        verdict="ok",
                        card="x.card.json",
                        array={
                            "id": "x",
                            "lot": "A",
                            "wafer": wafer,
                            "die_x": die % 5,
                            "die_y": die // 5,
                            "tile_row": tile // 2,
                            "tile_col": tile % 2,
                        },
                        estimates={p: [v, 0.001, v, v, "S"] for p, v in values.items()},
                        levels=ROW.levels,
                    )
                )
    return rows


@pytest.mark.parametrize("factor", [1.1, 0.9])
def test_a_shifted_wafer_is_named_with_its_shift(factor):
    table = LotTable.of(virtual_lot(1, {"W2": factor}))
    (found,) = wafer_differences(table)
    assert (found.wafer, found.path) == ("wafer W2", "levels[1].mean")
    assert found.p < 1e-6
    page = lot_report(table).to_html()
    said = re.search(r"Wafer W2 differs: mean of levels\[1\]\.mean ([-+][\d.]+)\s%", page)
    assert said is not None
    assert float(said[1]) == pytest.approx(100 * (factor - 1), abs=2)


@pytest.mark.parametrize("dies", [2, 5])
def test_wafers_alike_are_rarely_said_to_differ(dies):
    # the dies of a wafer vary more than the tiles of a die, which must not count as wafers
    tables = (LotTable.of(virtual_lot(seed, dies=dies, die_std=0.05)) for seed in range(100))
    assert sum(bool(wafer_differences(table)) for table in tables) <= 3


def test_nothing_is_said_without_two_wafers_of_two_dies():
    rows = virtual_lot(1, {"W2": 1.1}, dies=1)
    assert wafer_differences(LotTable.of(rows)) == []
    rows = [row for row in virtual_lot(1, {"W2": 1.1}) if row.wafer == "W2"]
    assert "differs:" not in lot_report(LotTable.of(rows)).to_html()


def test_a_row_carries_its_place_and_one_without_place_loads():
    array = CARD.array.model_copy(
        update={"lot": "A", "wafer": "W1", "die_x": 2, "die_y": 3, "tile_row": 0, "tile_col": 1}
    )
    level = CARD.levels[0].model_copy(update={"mean": Quantity.estimated(4e-5, 1e-7, "S")})
    card = seal(CARD.model_copy(update={"array": array, "levels": [level, *CARD.levels[1:]]}))
    row = Row.from_json(row_of_card(card, "x.h5", report=False).to_json())
    assert (row.lot, row.wafer, row.die_x, row.die_y) == ("A", "W1", 2, 3)
    assert (row.tile_row, row.tile_col) == (0, 1)
    old = Row.from_json('{"file": "a.h5", "name": "a", "verdict": "failed"}')
    assert (old.lot, old.wafer, old.die_x, old.tile_row) == (None,) * 4


def test_wafers_have_maps_on_one_scale_and_their_mean():
    table = LotTable.of(virtual_lot(1, {"W2": 1.1}))
    figures = wafer_maps(table)
    titles = [f.title for f in figures]
    assert titles[:4] == [
        *(f"Wafer W{n}: levels[1].mean" for n in (1, 2, 3)),  # the one that differs comes first
        "Mean of the wafers: levels[1].mean",
    ]
    assert titles[4] == "Mean over the dies: levels[1].mean"
    of_die = json.loads(figures[4].data)["map"]
    assert (of_die["rows"], of_die["cols"]) == (2, 2)
    assert [f.choice for f in figures] == [
        p for p in (PLACES[1], PLACES[0], PLACES[2]) for _ in range(5)
    ]
    data = [json.loads(f.data)["map"] for f in figures[:4]]
    assert all((x["rows"], x["cols"]) == (8, 10) for x in data)  # 4 x 5 dies of 2 x 2 tiles
    middle = [0.5 * (x["low"] + x["high"]) for x in data]
    assert middle[1] > 1.05 * middle[0]
    assert "Wafers</h2>" in lot_report(table).to_html()


def test_arrays_without_coordinates_have_no_map():
    rows = virtual_lot(1)
    for row in rows:
        del row.array["die_x"]
    assert wafer_maps(LotTable.of(rows)) == []
    assert "Wafers</h2>" not in lot_report(LotTable.of(rows)).to_html()


def test_the_place_in_a_file_is_on_its_card_and_in_its_row():
    chip = synthesize(CARD, rows=16, cols=16, sweeps=4, seed=0)
    identity = replace(chip.identity, wafer="W7", die_x=-2, die_y=3, tile_row=0, tile_col=1)
    card = characterize(replace(chip, identity=identity)).card
    row = row_of_card(card, "x.h5", report=False)
    assert (row.wafer, row.site) == ("W7", (-2, 3, 0, 1))
    assert Row.from_json(row.to_json()).site == row.site
