"""Reference: t tests by hand and by scipy.stats; Holm's test on known p-values; pooled arrays."""

import math

import numpy as np
import pytest
from scipy import stats

from rramfit.card import Quantity
from rramfit.card.quality import FitQuality, Provenance, Quality
from rramfit.card.schema import (
    ArrayInfo,
    Distribution,
    Domain,
    LevelCard,
    LineOffsets,
    ModelCard,
    RetentionCard,
    SpatialCard,
    VariationCard,
)
from rramfit.card.uncertainty.comparison import (
    DRIFT_COUNTED,
    MISSING_BETWEEN,
    ParameterTest,
    compare_cards,
    compare_parameters,
    difference,
    holm,
)
from rramfit.measurement.virtual.cards import random_card


def card(*means: float, unit: str = "S", stderr: float = 3.0, between: float | None = None):
    return ModelCard(
        name="test",
        digest="sha256:" + "0" * 64,
        array=ArrayInfo(id="a", rows=4, cols=4, cell="1T1R"),
        levels=[
            LevelCard(
                index=k,
                name=f"L{k}",
                n_cells=9,
                n_observations=9,
                mean=Quantity.estimated(mean, stderr, unit).model_copy(update={"between": between}),
            )
            for k, mean in enumerate(means)
        ],
        domain=Domain(rows=4, cols=4),
        quality=Quality(verdict="ok", summary=""),
        provenance=Provenance(inputs=[], rramfit_version="0", seed=0, time="", time_source=""),
    )


def with_level(one: ModelCard, **update: object) -> ModelCard:
    return one.model_copy(update={"levels": [one.levels[0].model_copy(update=update)]})


def given(value: float, unit: str = "1") -> Quantity:
    return Quantity.given(value, unit)


def test_difference_agrees_with_the_welch_test():
    rng = np.random.default_rng(1)
    x, y = rng.normal(10, 1, 8), rng.normal(11, 3, 15)
    a, b = (
        Quantity.estimated(v.mean(), v.std(ddof=1) / math.sqrt(v.size), "S", df=v.size - 1)
        for v in (x, y)
    )
    expected = stats.ttest_ind(x, y, equal_var=False)
    found = difference(a, b)
    assert found == pytest.approx((expected.statistic, expected.df, expected.pvalue), rel=1e-6)


@pytest.mark.parametrize("scale", ["linear", "log", "logit", "fisher"])
def test_the_difference_is_taken_on_the_scale_of_the_intervals(scale):
    forward, slope = {
        "linear": (lambda x: x, lambda _: 1.0),
        "log": (math.log, lambda x: 1 / x),
        "logit": (lambda x: math.log(x / (1 - x)), lambda x: 1 / (x * (1 - x))),
        "fisher": (math.atanh, lambda x: 1 / (1 - x**2)),
    }[scale]
    a = Quantity.estimated(0.30, 0.05, "1", scale=scale, df=12)
    b = Quantity.estimated(0.45, 0.03, "1", scale=scale)
    sa, sb = 0.05 * slope(0.30), 0.03 * slope(0.45)
    t, df, p = difference(a, b)
    expected = (forward(0.30) - forward(0.45)) / math.hypot(sa, sb)
    assert t == pytest.approx(expected, rel=1e-6)
    assert df == pytest.approx((sa**2 + sb**2) ** 2 / (sa**4 / 12), rel=1e-3)
    assert p == pytest.approx(2 * stats.t.sf(abs(expected), df), rel=1e-6)


def test_given_numbers_are_exact():
    t, _, p = difference(Quantity.estimated(2.0, 0.5, "S"), given(1.0, "S"))
    assert t == pytest.approx(2.0, rel=1e-6)
    assert p == pytest.approx(2 * stats.norm.sf(2.0), rel=1e-5)
    assert difference(given(1.0), given(1.0)) == (0.0, math.inf, 1.0)
    assert difference(given(1.0), given(2.0)) == (-math.inf, math.inf, 0.0)


def test_asymmetric_intervals_enter_by_their_facing_halves():
    a = Quantity.within(0.0, 0.001, "1", (0.0, 0.002))
    b = Quantity.within(0.010, 0.002, "1", (0.007, 0.015))
    t, _, p = difference(a, b)
    assert t == pytest.approx(-0.010 / (math.hypot(0.002, 0.003) / stats.norm.ppf(0.975)), rel=1e-6)
    assert p == pytest.approx(2 * stats.norm.sf(abs(t)), rel=1e-6)


@pytest.mark.parametrize("scale", ["linear", "log", "exact"])
def test_arrays_of_a_known_population_add_its_variance_once_each(scale):
    pooled = Quantity.estimated(2.0, 0.03, "S", scale="log" if scale == "log" else "linear")
    if scale == "exact":
        pooled = Quantity.within(2.0, 0.03, "S", (1.95, 2.06))
    pooled = pooled.model_copy(update={"between": 0.2})
    array = Quantity.estimated(2.1, 0.02, "S", scale="log" if scale == "log" else "linear")
    alone = abs(difference(pooled.model_copy(update={"between": None}), array)[0])
    once, twice = (
        abs(difference(pooled, x)[0]) for x in (array, array.model_copy(update={"between": 0.2}))
    )
    assert alone > 2
    assert once == pytest.approx(0.1 / math.sqrt(0.2**2 + 0.03**2 + 0.02**2), rel=0.03)
    assert twice == pytest.approx(0.1 / math.sqrt(2 * 0.2**2 + 0.03**2 + 0.02**2), rel=0.03)


def test_a_pooled_card_predicts_new_arrays_as_often_as_it_says():
    rng = np.random.default_rng(4)
    between, cells, arrays, repeats = 0.5, 0.2, 12, 2000
    p_values = []
    for _ in range(repeats):
        seen = rng.normal(0, math.hypot(between, cells), arrays)
        error = math.hypot(between, cells) / math.sqrt(arrays)
        pooled = Quantity.estimated(seen.mean(), error, "S").model_copy(update={"between": between})
        new = Quantity.estimated(rng.normal(0, math.hypot(between, cells)), cells, "S")
        p_values.append(difference(pooled, new)[2])
    inside = np.mean(np.array(p_values) > 0.05)
    assert 0.93 < inside < 0.97


def test_holm_step_down_procedure():
    q = Quantity.estimated(0.0, 1.0, "1")

    def failing(p_values):
        tests = [
            ParameterTest(path=str(i), first=q, second=q, t=0.0, df=1.0, p_value=p)
            for i, p in enumerate(p_values)
        ]
        return [v.path for v in holm(tests, 0.05) if v.differs]

    # Limits in ascending order: 0.05/4, 0.05/3, 0.05/2, 0.05.
    assert failing([0.03, 0.012, 0.9, 0.016]) == ["1", "3"]
    assert failing([0.013, 0.014, 0.015, 0.016]) == []
    assert failing([0.001, 0.016, 0.024, 0.049]) == ["0", "1", "2", "3"]


def test_given_numbers_do_not_make_the_test_of_the_others_stricter():
    shift = 2.2 * math.hypot(3, 3)  # p = 0.028: below 0.05, above 0.05/2
    first, second = (
        with_level(card(x), target=given(100.0, "S"), lower=given(9.0, "S")) for x in (0.0, shift)
    )
    assert [d.path for d in compare_cards(first, second).significant] == ["levels[0].mean"]
    assert not compare_cards(card(0.0, 0.0), card(shift, 0.0)).significant


def test_what_one_array_cannot_tell_is_said():
    little = compare_cards(card(100.0, stderr=0.5), card(104.0, stderr=0.5))
    (found,) = little.significant
    assert found.undecided
    assert "one array cannot tell whether arrays of this kind differ as much" in found.words
    assert little.notes == (MISSING_BETWEEN,)
    (large,) = compare_cards(card(100.0, stderr=0.5), card(120.0, stderr=0.5)).significant
    assert (large.words, large.undecided) == ("differs", False)
    pooled = card(100.0, stderr=0.5, between=0.5)
    (decided,) = compare_cards(pooled, card(104.0, stderr=0.5)).significant
    assert (decided.words, decided.undecided) == ("differs", False)
    assert compare_cards(pooled, card(104.0, stderr=0.5)).notes == ()
    same = compare_cards(card(100.0, stderr=0.5, between=3.0), card(104.0, stderr=0.5))
    assert not same.significant


def test_parameters_of_only_one_card_are_listed():
    result = compare_cards(card(1.0, 2.0), card(1.0))
    assert result.only_first == ("levels[1].mean",)
    assert result.max_t == 0
    assert not compare_cards(card(1.0), card(1.0, unit="uS")).differences


def test_parameters_with_another_meaning_are_not_compared():
    def of(family: str, name: str) -> ModelCard:
        distribution = Distribution(
            family=family, parameters={name: Quantity.estimated(1.0, 0.1, "S")}
        )
        return with_level(card(1.0), distribution=distribution)

    result = compare_cards(of("gamma", "scale"), of("weibull", "scale"))
    assert result.other_meaning == ("levels[0].distribution.parameters.scale",)
    assert [d.path for d in result.differences] == ["levels[0].mean"]

    def lines(axis: str) -> ModelCard:
        line = LineOffsets(axis=axis, std=Quantity.estimated(1.0, 0.1, "S"))
        variation = VariationCard(level=0, domain="linear", lines=[line])
        return card(1.0).model_copy(update={"variation": [variation]})

    assert "variation[0].lines[0].std" in compare_cards(lines("row"), lines("col")).other_meaning
    assert not compare_cards(lines("row"), lines("row")).other_meaning


def test_medians_of_states_found_blind_are_not_targets():
    quality = Quality(
        verdict="warning", summary="", fits={"blind_levels": FitQuality(verdict="warning")}
    )
    first, second = (
        with_level(card(100.0), target=given(t, "S")).model_copy(update={"quality": quality})
        for t in (100.0, 102.0)
    )
    result = compare_cards(first, second)
    assert result.other_meaning == ("levels[0].target",)
    assert not result.significant


def test_cards_of_two_temperatures_say_so():
    def kept(kelvin: float) -> ModelCard:
        retention = RetentionCard(
            temperature=given(kelvin, "K"),
            reference_time=given(1.0, "s"),
            longest_time=given(9.0, "s"),
            collapsed=Quantity.estimated(0.01, 0.001, "1"),
        )
        domain = Domain(rows=4, cols=4, temperature=given(300.0, "K"))
        return card(1.0).model_copy(update={"retention": retention, "domain": domain})

    result = compare_cards(kept(358.0), kept(383.0))
    assert "kept at 358 K" in result.notes[0]
    assert "at 383 K" in result.notes[0]
    assert "read at" not in result.notes[0]
    assert result.other_meaning == ("retention.collapsed",)
    assert not any("temperature" in note for note in compare_cards(kept(358), kept(359)).notes)


def test_only_estimated_parameters_are_tested():
    a, b = random_card(1, levels=2), random_card(2, levels=2)
    assert compare_parameters(a, b) == []  # all stated
    mean = Quantity.estimated(50e-6, 1e-6, "S")
    level = a.levels[0].model_copy(update={"mean": mean})
    with_mean = a.model_copy(update={"levels": [level, a.levels[1]]})
    found = compare_parameters(with_mean, a)
    assert [v.path for v in found] == ["levels[0].mean"]


def test_frame_has_a_row_for_each_parameter():
    frame = compare_cards(card(1.0, 2.0), card(1.0, 2.5)).to_frame()
    assert list(frame.index) == ["levels[0].mean", "levels[1].mean"]
    assert frame.loc["levels[1].mean", "second"] == 2.5
    assert list(frame["result"]) == ["", ""]


def test_trends_count_as_variation_between_arrays_where_that_is_not_known():
    def drifting(mean: float, trend: float | None, between: float | None = None) -> ModelCard:
        q = Quantity.estimated(mean, 3.0, "S")
        return with_level(
            card(mean), mean=q.model_copy(update={"trend": trend, "between": between})
        )

    (found,) = compare_cards(drifting(100.0, 4.0), drifting(110.0, 12.0)).differences
    assert found.t == pytest.approx(-10 / math.sqrt(3**2 + 3**2 + 4**2 + 12**2), rel=1e-6)
    assert not found.between_known
    assert DRIFT_COUNTED in compare_cards(drifting(100.0, 4.0), drifting(110.0, 12.0)).notes
    pooled = compare_cards(drifting(100.0, 4.0, between=1.0), drifting(110.0, 12.0))
    assert pooled.differences[0].t == pytest.approx(-10 / math.sqrt(3**2 + 3**2 + 1), rel=1e-6)
    assert pooled.notes == ()
    assert DRIFT_COUNTED not in compare_cards(card(1.0), card(2.0)).notes


def test_other_arrays_need_not_share_a_trend():
    def tilted(slope: float) -> ModelCard:
        trend = Quantity.estimated(slope, 0.1, "S")
        spatial = SpatialCard(row_trend=trend)
        part = VariationCard(level=0, domain="linear", spatial=spatial)
        return card(1.0).model_copy(update={"variation": [part]})

    (found,) = compare_cards(tilted(-2.0), tilted(2.0)).significant
    assert found.path == "variation[0].spatial.row_trend"
    assert found.undecided


def test_given_numbers_have_no_t():
    first, second = (with_level(card(1.0), target=given(t, "S")) for t in (1.0, 2.0))
    by_path = {d.path: d for d in compare_cards(first, second).differences}
    found = by_path["levels[0].target"]
    assert math.isnan(found.t)
    assert math.isnan(found.p_value)
    assert (found.differs, found.words) == (True, "given, not estimated: differs")
    result = compare_cards(first, second)
    assert [d.path for d in result.significant] == ["levels[0].target"]
    assert result.max_t == 0
    rounded = with_level(card(1.0), target=given(1.0 + 2e-16, "S"))
    (same,) = (d for d in compare_cards(first, rounded).differences if not d.estimated)
    assert (same.differs, same.words) == (False, "given, not estimated: equal")


def test_thresholds_that_no_reading_reaches_are_not_tested():
    def separated(overlap: float) -> ModelCard:
        return with_level(
            card(1.0),
            upper_threshold=Quantity.estimated(30.0, 2.0, "S"),
            overlap=Quantity.estimated(overlap, 0.1 * overlap, "1", scale="log"),
        )

    def paths(*cards: ModelCard) -> set[str]:
        return {t.path for t in compare_parameters(*cards)}

    beyond = {"levels[0].upper_threshold", "levels[0].overlap"}
    assert beyond <= paths(separated(0.2), separated(0.3))
    assert not beyond & paths(separated(0.2), separated(1e-9))
