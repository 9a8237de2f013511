"""Plans against the errors of cards: scaling, floors, wants, and a chip measured as planned."""

import itertools
import json
import math

import numpy as np
import pytest

from rramfit.card import Quantity, quantities
from rramfit.card.schema import LineOffsets
from rramfit.errors import CardError, RramfitError
from rramfit.fitting.characterization import characterize
from rramfit.measurement.planning import parse_want, plan_measurement
from rramfit.measurement.planning.half_width import IntervalModel
from rramfit.measurement.virtual import random_card, synthesize


@pytest.fixture(scope="module")
def source():
    return random_card(11, spatial=False, levels=2, array=(40, 40))


@pytest.fixture(scope="module")
def card(source):
    return characterize(synthesize(source, sweeps=6, seed=11), name="small").card


def half(q: Quantity) -> float:
    return 0.5 * (q.ci95[1] - q.ci95[0])


def test_a_chip_measured_as_planned_has_the_wanted_intervals(source, card):
    wants = {
        "levels[0].mean": 0.5 * half(card.levels[0].mean),
        "variation[1].d2d": 0.6 * half(card.variation[1].d2d),
        "variation[1].c2c": 0.45 * half(card.variation[1].c2c),
        "levels[1].std": 0.6 * half(card.levels[1].std),
        "failure[1].soft": 0.5 * half(card.failure[1].soft),
    }
    plan = plan_measurement(card, wants)
    assert plan.met
    side = math.ceil(math.sqrt(plan.cells))
    measured = synthesize(source, rows=side, cols=side, sweeps=plan.sweeps, seed=12)
    found = dict(quantities(characterize(measured).card))
    for p in plan.parameters:
        assert half(found[p.path]) == pytest.approx(p.planned, rel=0.3), p.path
        assert half(found[p.path]) < 1.3 * wants[p.path], p.path
    binding = min(p.wanted / p.planned for p in plan.parameters)
    assert binding == pytest.approx(1.0, abs=0.02)


def test_four_times_the_cells_halve_a_mean(card):
    now = half(card.levels[0].mean)
    plan = plan_measurement(card, {"levels[0].mean": 0.5 * now}, repeats=3)
    assert plan.cells == pytest.approx(4 * 1600, rel=0.03)
    assert plan.arrays == 4
    (p,) = plan.parameters
    assert p.now == pytest.approx(now)
    assert p.planned == pytest.approx(p.wanted, rel=1e-3)


def test_more_sweeps_leave_what_differs_between_cells(card):
    v = card.variation[0]
    (p,) = plan_measurement(card, ["levels[0].mean=0.01%"]).parameters
    assert p.sweeps_only is None
    assert p.floor == pytest.approx(
        1.96 * v.d2d.value / math.sqrt(card.levels[0].n_cells), rel=0.15
    )
    plan = plan_measurement(card, ["levels[0].mean=0.01%"], cells=1600)
    assert not plan.met
    assert any("because cells, lines and arrays differ" in note for note in plan.notes)
    (c2c,) = plan_measurement(card, {"variation[0].c2c": 0.3 * half(v.c2c)}, cells=1600).parameters
    assert c2c.sweeps_only is not None
    assert c2c.planned <= c2c.wanted


def test_c2c_needs_cells_that_are_programmed_twice(card):
    plan = plan_measurement(card, ["variation[0].c2c=20%"])
    assert plan.repeats >= 2
    once = plan_measurement(card, ["variation[0].c2c=20%"], repeats=1)
    assert not once.met
    assert once.to_dict()["parameters"][0]["planned"] is None
    json.dumps(once.to_dict(), allow_nan=False)


def test_lines_average_over_lines(card):
    lines = LineOffsets(axis="col", std=Quantity.estimated(1e-6, 1e-7, "S"))
    v = card.variation[0]
    v = v.model_copy(update={"lines": [lines], "d2d": Quantity.given(1.05e-6, "S")})
    striped = card.model_copy(update={"variation": [v, *card.variation[1:]]})
    (p,) = plan_measurement(striped, ["levels[0].mean=1%"]).parameters
    half_of_array = plan_measurement(striped, {"levels[0].mean": 1.35 * p.now}, repeats=3)
    # A quarter of the area has half of the columns: half the variance of the mean per column.
    assert half_of_array.cells < 0.5 * 1600
    assert any("Offsets of lines average over lines" in note for note in half_of_array.notes)


def test_arrays_that_differ_need_arrays(card):
    mean = card.levels[0].mean.model_copy(update={"between": 2 * card.levels[0].mean.stderr})
    pooled = card.model_copy(
        update={"levels": [card.levels[0].model_copy(update={"mean": mean}), card.levels[1]]}
    )
    plan = plan_measurement(pooled, {"levels[0].mean": half(mean)})
    assert plan.arrays >= 5
    assert not any("only further arrays show" in note for note in plan.notes)


def test_parameters_of_other_groups_are_multiples():
    made = random_card(6, spatial=False, levels=2)
    measured = synthesize(made, rows=24, cols=24, sweeps=4, groups=("program", "reads"), seed=1)
    found = characterize(measured).card
    now = half(found.read_noise.coefficient)
    plan = plan_measurement(found, {"read_noise.coefficient": now / 3})
    assert plan.cells is None
    (group,) = plan.groups
    assert 5 < group.factor < 9.1  # fewer than 9 where the error has few degrees of freedom
    assert "/reads" in plan.summary()


def test_a_card_without_errors_plans_by_its_components():
    made = random_card(5, spatial=False, levels=2, array=(64, 64))
    plan = plan_measurement(made, ["levels[0].mean=1%", "failure[0].probability=20%"])
    std = math.hypot(made.variation[0].d2d.value, made.variation[0].c2c.value)
    mean = plan.parameters[0]
    assert mean.now == math.inf
    needed = (1.96 * std / (0.01 * made.levels[0].mean.value)) ** 2
    assert mean.cells_only == pytest.approx(needed, rel=0.5)
    p = made.failure[0].probability.value
    assert plan.cells * plan.repeats >= 0.9 * (1.96 / 0.2) ** 2 * (1 - p) / p
    with pytest.raises(CardError, match="without an error"):
        plan_measurement(made, ["levels[0].target=1%"])


def test_a_share_of_zero_needs_an_amount(card):
    zero = card.model_copy(
        update={
            "failure": [
                card.failure[0].model_copy(
                    update={
                        "probability": Quantity.within(0.0, 1e-4, "1", (0.0, 2.5e-3)),
                        "hard": None,
                        "soft": None,
                    }
                )
            ]
        }
    )
    with pytest.raises(RramfitError, match="value of 0"):
        plan_measurement(zero, ["failure[0].probability=20%"])
    plan = plan_measurement(zero, {"failure[0].probability": 1.25e-4})
    assert plan.cells == pytest.approx(10 * 1600, rel=0.05)


def test_every_parameter_of_a_card_can_be_wanted(card):
    plan = plan_measurement(card, ["*=50%"])
    planned = {p.path for p in plan.parameters}
    estimated = {
        path
        for path, q in quantities(card)
        if q.stderr and q.value != 0 and not path.startswith("domain")
    }
    assert estimated <= planned
    assert all(math.isfinite(p.planned) or not plan.met for p in plan.parameters)
    json.dumps(plan.to_dict(), allow_nan=False)
    assert plan.summary()


@pytest.mark.parametrize(
    "text",
    ["", "=", "levels[0].mean", "levels[0].mean=", "levels[0].mean=0%", "levels[0].mean=-1",
     "levels[0].mean=nan", "levels[0].mean=1e999", "=5%", "a=1 2 3"],
)  # fmt: skip
def test_wants_that_are_none(text):
    with pytest.raises(RramfitError, match="PATH=AMOUNT"):
        parse_want(text)


def test_units_of_wants(card):
    mean = card.levels[0].mean
    for text in ("0.2uS", "0.2 uS", "2e-7", "200nS", f"{2e-5 / mean.value:.12g}%"):
        assert parse_want(f"levels[0].mean={text}").half_width("levels[0].mean", mean) == (
            pytest.approx(2e-7)
        )
    resistance = Quantity.estimated(5e3, 10, "ohm")
    assert parse_want("r=0.1kohm").half_width("r", resistance) == pytest.approx(100)
    for text in ("5V", "5kohm", "5furlong"):
        with pytest.raises(RramfitError, match="found the unit"):
            parse_want(f"levels[0].mean={text}").half_width("levels[0].mean", mean)


def test_unknown_parameters_are_named_with_near_ones(card):
    with pytest.raises(CardError, match=r"levels\[0\]\.mean"):
        plan_measurement(card, ["levels[7].mean=1%"])
    with pytest.raises(RramfitError, match="at least one"):
        plan_measurement(card, [])
    with pytest.raises(RramfitError, match="cells: found 0"):
        plan_measurement(card, ["levels[0].mean=1%"], cells=0)


@pytest.mark.parametrize(
    "q",
    [
        Quantity.estimated(5.0, 0.5, "S", df=12),
        Quantity.estimated(5.0, 0.5, "S", scale="log", df=9),
        Quantity.estimated(0.2, 0.05, "1", scale="logit"),
        Quantity.within(0.0, 1e-4, "1", (0.0, 1e-3)),
        Quantity.within(0.03, 0.01, "1", (0.013, 0.058)),
        Quantity.within(3.0, 1.0, "S", (2.0, 7.0)),
    ],
)
def test_intervals_shrink_from_those_of_the_card(q):
    model = IntervalModel(q, 1.0)
    assert model.half_width(1.0) == pytest.approx(half(q), rel=0.02)
    widths = [model.half_width(v) for v in np.geomspace(1.0, 1e-4, 12)]
    assert all(a > b for a, b in itertools.pairwise(widths))
    assert model.half_width(math.inf) == math.inf
