"""Pools of cards: components, predictions, outliers, the pooled card, trends."""

import numpy as np
import pytest

from rramfit.card import load_card, quantities, seal
from rramfit.card.quantity import Quantity
from rramfit.card.uncertainty.draw import draw_card
from rramfit.errors import FitError
from rramfit.fitting.pooling import pool_cards, pooled_card
from rramfit.fitting.pooling.trend import trend_of
from rramfit.measurement.virtual.cards import random_card

MEAN = "levels[1].mean"


def arrays(count=24, *, wafers=3, seed=0, std=(1.5e-6, 1e-6), shift=None):
    """Cards whose level 1 differs between wafers and arrays by known standard deviations."""
    base = random_card(3)
    rng = np.random.default_rng(seed)
    wafer_effect = rng.normal(0, std[0], wafers)
    out = []
    for i in range(count):
        wafer = i % wafers
        true = base.levels[1].mean.value + wafer_effect[wafer] + rng.normal(0, std[1])
        true += 0.0 if shift is None else shift(i)
        mean = Quantity.estimated(true + rng.normal(0, 3e-7), 3e-7, "S")
        levels = list(base.levels)
        levels[1] = levels[1].model_copy(update={"mean": mean})
        stuck = base.stuck.model_copy(update={"low": Quantity.within(0.0, 1e-4, "1", (0.0, 2e-4))})
        array = base.array.model_copy(update={"lot": "L1", "wafer": f"W{wafer}"})
        time = f"2026-01-{i + 1:02d}T00:00:00+00:00"
        changed = {
            "name": f"a{i}",
            "levels": levels,
            "stuck": stuck,
            "array": array,
            "provenance": base.provenance.model_copy(update={"time": time}),
        }
        out.append(seal(base.model_copy(update=changed)))
    return out


def test_components_and_predictions():
    found = pool_cards(arrays(60, wafers=6))
    p = found.parameters[MEAN]
    assert [c.name for c in p.components] == ["array", "wafer"]
    assert p.components[0].low <= 1e-6 <= p.components[0].high
    assert p.components[1].low <= 1.5e-6 <= p.components[1].high
    assert p.components[1].p_value < 0.025
    assert {x.where for x in p.known["wafer"]} == {f"wafer L1/W{i}" for i in range(6)}
    widths = [x.high - x.low for x in p.known["wafer"]]
    assert max(widths) < p.new_array.high - p.new_array.low
    assert p.new_array.where == "new wafer"
    assert any("lots" in note for note in found.notes)  # one lot cannot vary
    shares = found.parameters["stuck.low"]
    assert 0 <= shares.new_array.low <= shares.mean.value <= shares.new_array.high < 0.01


def test_dies_are_told_apart_by_their_coordinates():
    """3 wafers x 20 dies x 4 tiles, as the identity of layout 1.1 states them."""
    std = {"wafer": 4e-6, "die": 2e-6, "array": 1e-6}
    base, rng = random_card(3), np.random.default_rng(2)
    cards = []
    for wafer, of_wafer in enumerate(rng.normal(0, std["wafer"], 3)):
        for die, of_die in enumerate(rng.normal(0, std["die"], 20)):
            for tile, of_tile in enumerate(rng.normal(0, std["array"], 4)):
                true = base.levels[1].mean.value + of_wafer + of_die + of_tile
                mean = Quantity.estimated(true + rng.normal(0, 3e-7), 3e-7, "S")
                levels = list(base.levels)
                levels[1] = levels[1].model_copy(update={"mean": mean})
                place = {"wafer": f"W{wafer}", "die_x": die % 5, "die_y": die // 5}
                array = base.array.model_copy(update=place | {"tile_row": tile // 2})
                changed = {"name": f"{wafer}-{die}-{tile}", "levels": levels, "array": array}
                cards.append(seal(base.model_copy(update=changed)))
    p = pool_cards(cards).parameters[MEAN]
    found = {c.name: c for c in p.components}
    assert {name: c.groups for name, c in found.items()} == {"array": 240, "die": 60, "wafer": 3}
    for name, c in found.items():
        assert c.low <= std[name] <= c.high
    assert {x.where for x in p.known["die"]} >= {"die W0/0, 0", "die W2/4, 3"}


def test_an_outlier_is_named_and_the_others_are_not():
    cards = arrays(30, shift=lambda i: 12e-6 * (i == 4))
    assert [cards[i].name for i in pool_cards(cards).parameters[MEAN].outliers] == ["a4"]
    assert not pool_cards(arrays(30)).parameters[MEAN].outliers.size


def test_chips_drawn_from_the_pooled_card_differ_as_arrays_do(tmp_path):
    pooled = pooled_card(pool_cards(arrays(60, wafers=6)), name="population")
    pooled.save(tmp_path / "p.card.json")
    card = load_card(tmp_path / "p.card.json")
    assert card.cells is None
    assert card.array.lot == "L1"
    assert card.array.wafer is None
    between = card.levels[1].mean.between
    assert between == pytest.approx(np.hypot(1.5e-6, 1e-6), rel=0.6)
    drawn = [draw_card(card, seed=0, array=i).levels[1].mean.value for i in range(200)]
    assert np.std(drawn) == pytest.approx(between, rel=0.2)
    family = card.levels[1].distribution
    assert family is not None
    assert not any(q.value != q.value for _, q in quantities(card))


def test_identity_can_be_given():
    cards = [
        c.model_copy(update={"array": c.array.model_copy(update={"wafer": None})})
        for c in arrays(12)
    ]
    stated = {c.name: {"wafer": f"W{i % 3}"} for i, c in enumerate(cards)}
    assert [c.name for c in pool_cards(cards).parameters[MEAN].components] == ["array"]
    found = pool_cards(cards, identity=stated).parameters[MEAN]
    assert [c.name for c in found.components] == ["array", "wafer"]


def test_cards_that_cannot_be_pooled_are_refused():
    cards = arrays(4)
    with pytest.raises(FitError, match="at least two arrays"):
        pool_cards(cards[:1])
    with pytest.raises(FitError, match="named a0"):
        pool_cards([cards[0], cards[0]])
    with pytest.raises(FitError, match="2 different sets of levels"):
        pool_cards([*cards, random_card(4, levels=2)])


def test_a_step_passes_the_control_limits():
    good = trend_of(arrays(28, wafers=1), baseline=14)
    assert MEAN not in good.out
    moved = trend_of(arrays(28, wafers=1, shift=lambda i: 4e-6 * (i >= 18)), baseline=14)
    assert moved.out[MEAN][0] in ("a18", "a19", "a20", "a21", "a22")
    assert "pass their control limits" in moved.summary
    assert list(moved.out) == [MEAN]


def test_a_baseline_of_few_arrays_is_refused():
    with pytest.raises(FitError, match="baseline of 3"):
        trend_of(arrays(12), baseline=3)
