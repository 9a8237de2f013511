"""Draws of a card have its errors, keep together what belongs together, and nothing else moves."""

import math

import numpy as np
import pytest

from rramfit.card import Quantity, family, load_card, quantities
from rramfit.card.conditions.moments import with_moments
from rramfit.card.schema import Distribution, FailureCard, StuckCard
from rramfit.card.uncertainty.comparison import MISSING_BETWEEN
from rramfit.card.uncertainty.draw import draw_card, draw_limits, draw_value, drawn_paths
from rramfit.measurement.virtual.cards import virtual_card

DRAWS = 400
SPREAD = 4 / math.sqrt(2 * DRAWS)  # of a standard deviation over the draws, four standard errors


def estimated(q: Quantity, relative: float, scale: str = "log", **more: object) -> Quantity:
    made = Quantity.estimated(q.value, relative * q.value, q.unit, scale=scale, df=40)
    return made.model_copy(update=more)


def uncertain(card, relative: float = 0.03, **more: object):
    """Return the card with errors of all levels and of their variation."""
    levels = [
        level.model_copy(
            update={
                "n_cells": 1000,
                "n_observations": 4000,
                "mean": estimated(level.mean, relative, "linear", **more),
                "std": estimated(level.std, relative),
            }
        )
        for level in card.levels
    ]
    variation = [
        v.model_copy(update={n: estimated(getattr(v, n), relative) for n in ("d2d", "c2c", "read")})
        for v in card.variation
    ]
    return card.model_copy(update={"levels": levels, "variation": variation})


@pytest.fixture(scope="module")
def stated():
    return virtual_card(
        "three", mean=[2e-5, 5e-5, 9e-5], spread=0.08, read=0.01, correlation=0.6, hard=0.01
    )


def moments(card, k: int = 0) -> tuple[float, float]:
    d = card.levels[k].distribution
    return family(d.family).moments({n: q.value for n, q in d.parameters.items()})


def test_a_card_without_errors_is_drawn_as_itself(stated):
    assert draw_card(stated, seed=1, draw=3, array=4) is stated
    assert drawn_paths(stated) == []
    assert len(draw_limits(stated)) == 1
    card = uncertain(stated)
    assert draw_card(card, seed=1) is card
    assert draw_card(card, seed=1, array=5) is card  # it does not know how much arrays differ


@pytest.mark.parametrize("name", ["normal", "lognormal", "gamma", "weibull", "skew_normal"])
def test_the_drawn_distribution_has_the_errors_of_mean_and_std(name):
    shape = {"shape": 3.0} if name == "skew_normal" else None
    card = uncertain(
        virtual_card("one", mean=[5e-5], spread=0.1, distribution=name, shape=shape), 0.02
    )
    card = card.model_copy(update={"variation": []})
    before = moments(card)
    found = np.array([moments(draw_card(card, seed=0, draw=i)) for i in range(DRAWS)]) / before
    df = 40 / 38  # variance of Student's t
    assert found.std(axis=0) == pytest.approx([0.02 * math.sqrt(df)] * 2, rel=SPREAD)
    assert found.mean(axis=0) == pytest.approx(1, abs=4 * 0.02 / math.sqrt(DRAWS))


def poorly_known_shape(correlation):
    """A Johnson distribution whose four parameters are known to 10 %, its mean to 0.1 %."""
    values = {"gamma": (-1.3, "1"), "delta": (2.5, "1"), "xi": (75e-6, "S"), "lambda": (9e-6, "S")}
    card = virtual_card("one", mean=[80e-6], spread=0.05)
    parameters = {
        n: Quantity.estimated(v, abs(0.1 * v), u, scale="log" if v > 0 else "linear")
        for n, (v, u) in values.items()
    }
    mean, std = family("johnson_su").moments({n: v for n, (v, _) in values.items()})
    level = card.levels[0].model_copy(
        update={
            "mean": Quantity.estimated(mean, 1e-3 * mean, "S"),
            "std": Quantity.estimated(std, 0.04 * std, "S", scale="log"),
            "distribution": Distribution(
                family="johnson_su", parameters=parameters, correlation=correlation
            ),
        }
    )
    return card.model_copy(update={"levels": [level], "variation": []})


@pytest.mark.parametrize("correlation", [None, "of four"])
def test_a_poorly_known_shape_does_not_move_the_mean(correlation):
    r = np.full((4, 4), 0.9) + 0.1 * np.eye(4)
    card = poorly_known_shape(None if correlation is None else r.tolist())
    before = moments(card)
    drawn = [draw_card(card, seed=0, draw=i) for i in range(DRAWS)]
    found = np.array([moments(x) for x in drawn]) / before
    assert found.std(axis=0) == pytest.approx([1e-3, 0.04], rel=SPREAD)
    delta = np.log([x.levels[0].distribution.parameters["delta"].value for x in drawn])
    assert delta.std() == pytest.approx(0.1, rel=SPREAD)
    gamma = [x.levels[0].distribution.parameters["gamma"].value for x in drawn]
    expected = 0.0 if correlation is None else 0.9
    assert np.corrcoef(delta, gamma)[0, 1] == pytest.approx(expected, abs=4 / math.sqrt(DRAWS))
    said = any("no correlation of the errors" in x for x in draw_limits(card))
    assert said == (correlation is None)


def test_weights_of_a_mixture_sum_to_one_and_nothing_leaves_its_range():
    parameters = {
        "weight_1": Quantity.estimated(0.9, 0.05, "1", scale="logit"),
        "weight_2": Quantity.estimated(0.1, 0.05, "1", scale="logit"),
        "mean_1": Quantity.given(5e-5, "S"),
        "mean_2": Quantity.estimated(9e-5, 3e-6, "S"),
        "std_1": Quantity.estimated(4e-6, 1e-6, "S", scale="log", df=3),
        "std_2": Quantity.given(2e-6, "S"),
    }
    card = uncertain(virtual_card("one", mean=[54e-6], spread=0.2))
    distribution = Distribution(family="mixture", parameters=parameters)
    level = card.levels[0].model_copy(update={"distribution": distribution})
    card = card.model_copy(update={"levels": [level]})
    for i in range(50):
        p = draw_card(card, seed=0, draw=i).levels[0].distribution.parameters
        assert p["weight_1"].value + p["weight_2"].value == pytest.approx(1)
        assert all(q.value > 0 for q in p.values())
    assert any("keep their value" in x for x in draw_limits(card))


def test_std_follows_from_its_parts_so_that_small_parts_stay_small(stated):
    """Cells make 99 % of the variance: what is left for cycles must not come from rounding."""
    card = uncertain(stated, 0.05)
    std = card.levels[0].std.value
    parts = {"d2d": 0.995 * std, "c2c": 0.1 * std, "read": 1e-3 * std}
    values = {n: estimated(Quantity.given(v, "S"), 0.05) for n, v in parts.items()}
    variation = [card.variation[0].model_copy(update=values), *card.variation[1:]]
    card = card.model_copy(update={"variation": variation})
    for i in range(100):
        new = draw_card(card, seed=0, draw=i)
        v, s = new.variation[0], new.levels[0].std.value
        rest = s**2 - v.d2d.value**2 - v.read.value**2
        assert rest == pytest.approx(v.c2c.value**2, rel=1e-3)
        assert moments(new)[1] == pytest.approx(s, rel=1e-9)


def test_means_of_levels_that_share_their_cells_are_drawn_together(stated):
    card = uncertain(stated, 0.05)  # far more than cycles make: all of it comes from cells
    drawn = [draw_card(card, seed=0, draw=i) for i in range(DRAWS)]
    means = np.array([[level.mean.value for level in x.levels] for x in drawn])
    assert np.corrcoef(means.T)[0, 1:] == pytest.approx(0.6, abs=4 / math.sqrt(DRAWS))
    cycles = [
        level.model_copy(
            update={
                "mean": Quantity.estimated(
                    level.mean.value,
                    math.hypot(v.c2c.value, v.read.value) / math.sqrt(level.n_observations),
                    "S",
                )
            }
        )
        for level, v in zip(card.levels, card.variation, strict=True)
    ]
    alone = card.model_copy(update={"levels": cycles})
    drawn = [draw_card(alone, seed=0, draw=i) for i in range(DRAWS)]
    means = np.array([[level.mean.value for level in x.levels] for x in drawn])
    assert np.corrcoef(means.T)[0, 1:] == pytest.approx(0, abs=4 / math.sqrt(DRAWS))


def test_another_number_does_not_shift_the_draws_of_the_others(stated):
    card = uncertain(stated)
    more = card.model_copy(
        update={
            "stuck": StuckCard(
                low=Quantity.within(0.01, 0.003, "1", (0.006, 0.017)),
                high=Quantity.within(0.0, 0.001, "1", (0.0, 0.002)),
            )
        }
    )
    a, b = (draw_card(x, seed=2, draw=7) for x in (card, more))
    assert a.levels == b.levels
    assert a.variation == b.variation
    assert b.stuck.low.value != more.stuck.low.value
    assert draw_card(card, seed=2, draw=7) == a
    assert draw_card(card, seed=2, draw=8).levels != a.levels
    assert draw_card(card, seed=3, draw=7).levels != a.levels


def test_arrays_differ_by_what_pooling_has_found(stated):
    card = uncertain(stated, 0.01, between=4e-6)
    arrays = [draw_card(card, seed=0, array=i).levels[0].mean.value for i in range(DRAWS)]
    assert np.std(arrays) == pytest.approx(4e-6, rel=SPREAD)
    of_draw = [draw_card(card, seed=0, draw=5, array=i).levels[0].mean.value for i in range(DRAWS)]
    middle = draw_card(card, seed=0, draw=5).levels[0].mean.value
    assert np.array(of_draw) - middle == pytest.approx(
        np.array(arrays) - card.levels[0].mean.value, rel=1e-9
    )
    assert MISSING_BETWEEN not in draw_limits(card)
    assert MISSING_BETWEEN in draw_limits(uncertain(stated))


def test_exact_intervals_are_drawn_by_halves_and_shares_stay_shares():
    q = Quantity.within(0.002, 0.001, "1", (0.0002, 0.008))
    found = np.array([draw_value(q, z, 0.0) for z in np.linspace(-6, 6, 101)])
    assert (found >= 0).all()
    assert (np.diff(found) >= 0).all()
    assert draw_value(q, 1.959964, 0.0) == pytest.approx(0.008)
    assert draw_value(q, -1.959964, 0.0) == pytest.approx(0.0002)
    none = Quantity.within(0.0, 0.001, "1", (0.0, 0.003))
    assert draw_value(none, -1.0, 0.0) == 0.0
    few = Quantity.estimated(1e-6, 0.5e-6, "S", scale="log", df=1)
    assert draw_value(few, 6.0, 0.0) <= 1e-6 * math.exp(1.5 * math.log(few.ci95[1] / 1e-6)) * 1.001


def test_failures_that_are_not_separated_do_not_appear_with_the_stuck_cells():
    card = virtual_card("one", mean=[5e-5], spread=0.1)
    high = Quantity.estimated(0.04, 0.008, "1", scale="logit")
    card = card.model_copy(
        update={
            "stuck": StuckCard(low=Quantity.given(0.0, "1"), high=high),
            "failure": [
                FailureCard(
                    level=0,
                    n_attempts=9,
                    probability=Quantity.estimated(0.04, 0.008, "1", scale="logit"),
                )
            ],
        }
    )
    for i in range(20):
        new = draw_card(card, seed=0, draw=i)
        assert new.failure[0].probability.value == pytest.approx(new.stuck.high.value)


def test_wires_are_drawn_with_the_correlation_of_their_errors(repo):
    card = load_card(repo / "fits" / "reference-1.0.0.card.json")
    drawn = [draw_card(card, seed=0, draw=i).line for i in range(DRAWS)]
    names = ("wordline_resistance", "bitline_resistance", "driver_resistance", "sense_resistance")
    found = np.array([[getattr(x, n).value for n in names] for x in drawn])
    expected = np.array(card.line.correlation)[:4, :4]
    assert np.corrcoef(found.T) == pytest.approx(expected, abs=0.2)
    error = [getattr(card.line, n).stderr for n in names]
    assert found.std(axis=0) == pytest.approx(error, rel=SPREAD)


def test_what_describes_the_measurement_stays(repo):
    card = load_card(repo / "fits" / "reference-1.0.0.card.json")
    before, after = (dict(quantities(x)) for x in (card, draw_card(card, seed=0, draw=0)))
    same = {path for path in before if before[path] == after[path]}
    for path in ("domain.conductance[0]", "bits_per_cell", "levels[0].upper_threshold"):
        assert path in same
    for path in ("levels[0].mean", "failure[1].hard", "stuck.low", "line.driver_resistance"):
        assert path not in same
    # levels' std and parameters follow from others, probability where hard and soft are known too
    assert before.keys() - same <= set(drawn_paths(card))


@pytest.mark.parametrize("name", ["lognormal", "gamma", "weibull"])
@pytest.mark.parametrize("ratio", [0.02, 0.3, 1.5])
def test_families_of_positive_conductances_follow_from_mean_and_std(name, ratio):
    found = with_moments(name, {}, 5e-5, ratio * 5e-5)
    assert family(name).moments(found) == pytest.approx((5e-5, ratio * 5e-5), rel=1e-9)
    assert with_moments(name, {}, -1e-6, 1e-6) is None


def test_heavy_tails_without_a_standard_deviation_are_moved_as_they_are():
    card = uncertain(virtual_card("one", mean=[5e-5], spread=0.1), 0.02)
    parameters = {
        "loc": Quantity.given(5e-5, "S"),
        "scale": Quantity.given(2e-6, "S"),
        "df": Quantity.estimated(1.5, 0.1, "1"),
    }
    heavy = Distribution(family="student_t", parameters=parameters)
    level = card.levels[0].model_copy(update={"distribution": heavy})
    card = card.model_copy(update={"levels": [level], "variation": []})
    new = draw_card(card, seed=0, draw=1).levels[0]
    shift = new.mean.value - level.mean.value
    found = {n: q.value for n, q in new.distribution.parameters.items()}
    assert found["loc"] == pytest.approx(5e-5 + shift)
    assert found["scale"] == pytest.approx(2e-6 * new.std.value / level.std.value)
    assert found["df"] == 1.5
