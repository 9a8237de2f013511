"""Several bakes joined: energies of simulated and of made-up bakes, and what cannot be known."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from rramfit.card import ModelCard, Quantity
from rramfit.card.blocks.temperature_law import (
    BOLTZMANN,
    acceleration,
    equal_change_time,
    law_change,
)
from rramfit.card.conditions.equivalent import equivalent_time
from rramfit.errors import FitError, RramfitError
from rramfit.fitting.characterization import characterize
from rramfit.fitting.time.bakes import (
    Bake,
    cells_needed,
    failure_rate_bound,
    failure_share,
    fit_bakes,
    join_bakes,
    share_bound,
    with_joined_bakes,
)
from rramfit.measurement.file.in_memory import reads_in_memory
from rramfit.measurement.lab.convert import convert_measurement, write_conversion
from rramfit.measurement.virtual.cards import random_card, virtual_card
from rramfit.measurement.virtual.group_cards import with_bakes, with_groups
from rramfit.measurement.virtual.synthesize import synthesize
from rramfit.measurement.virtual.tester import Plan

COOL, WARM, HOT = 358.15, 378.15, 398.15
TIMES = (0.0, 60.0, 600.0, 6000.0, 60000.0)


def bake(
    kelvin,
    seed,
    *,
    side=16,
    levels=3,
    times=TIMES,
    energy=0.6,
    drift=-0.004,
    noise=0.003,
    round_to=0,
):
    """A bake whose relative drift per ln t is activated: the truth is written out here."""
    rng = np.random.default_rng(seed)
    shape = (side, side)
    level = np.arange(side * side).reshape(shape) % levels
    start = (level + 1) * 2e-5 * (1 + 0.03 * rng.standard_normal(shape))
    f = math.exp(energy / 8.617e-5 * (1 / COOL - 1 / kelvin))
    t = np.array(times)
    x = np.where(t > 0, np.log(np.maximum(t, 1e-9) / t[t > 0][0]), 0.0)
    walk = np.sqrt(np.abs(drift) * f * np.maximum(x, 0))
    y = np.stack(
        [
            start
            * (
                1
                + drift * f * v
                + 0.05 * w * rng.standard_normal(shape)
                + noise * rng.standard_normal(shape)
            )
            for v, w in zip(x, walk, strict=True)
        ]
    )
    if round_to:
        y = np.round(y / round_to) * round_to
    return Bake(reads=reads_in_memory(y, time=t, level=level, read_voltage=0.2, temperature=kelvin))


def energy_of(fit):
    return fit.block.drift.activation_energy


def says(fit, words):
    return any(words in str(f) for f in fit.verdict.findings)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_three_temperatures_give_an_energy_and_test_the_law(order):
    bakes = [bake(t, 10 + k) for k, t in enumerate((COOL, WARM, HOT))]
    fit = fit_bakes([bakes[i] for i in order])
    low, high = energy_of(fit).ci95
    assert low < 0.6 < high
    assert high - low < 0.1
    assert fit.block.drift.p_arrhenius > 0.01
    assert fit.block.drift.p_common > 0.01
    assert fit.block.drift.exponent.ci95[0] < 0 < fit.block.drift.exponent.ci95[1]
    assert fit.block.bakes[0].factor.value == 1
    assert not says(fit, "two temperatures")


def test_two_temperatures_do_not_test_the_law():
    fit = fit_bakes([bake(COOL, 1), bake(HOT, 2)])
    assert energy_of(fit).ci95[0] < 0.6 < energy_of(fit).ci95[1]
    assert fit.block.drift.p_arrhenius is None
    assert says(fit, "no test of the Arrhenius law")
    assert fit.verdict.word == "warning"


def test_bakes_at_one_temperature_give_no_energy():
    fit = fit_bakes([bake(COOL, 1), bake(COOL, 2)])
    assert fit.block.drift is None
    assert says(fit, "one temperature gives no activation energy")


def test_a_temperature_twice_shows_the_scatter_between_bakes():
    fit = fit_bakes([bake(COOL, 1), bake(COOL, 2, drift=-0.006), bake(HOT, 3)])
    alike = fit_bakes([bake(COOL, 1), bake(COOL, 2), bake(HOT, 3)])
    assert alike.block.drift.between_bakes < 0.05 < fit.block.drift.between_bakes
    widths = [np.diff(energy_of(x).ci95)[0] for x in (fit, alike)]
    assert widths[0] > 3 * widths[1]


def test_few_temperatures_widen_the_interval_by_students_t():
    """Three bakes that scatter by 20 % leave one degree of freedom: t is 12.7, not 1.96."""
    scattered = [
        bake(COOL, 1, drift=-0.005),
        bake(WARM, 2, drift=-0.0035),
        bake(HOT, 3, drift=-0.005),
    ]
    fit = fit_bakes(scattered)
    assert fit.block.drift.p_arrhenius < 0.05
    q = energy_of(fit)
    assert np.diff(q.ci95)[0] > 2 * 10 * q.stderr


def test_levels_with_energies_of_their_own_are_told_apart():
    a, b = (bake(t, s, levels=1, energy=0.4) for t, s in ((COOL, 1), (HOT, 2)))
    c, d = (bake(t, s, levels=1, energy=0.9) for t, s in ((COOL, 3), (HOT, 4)))

    def both(x, y):
        reads = np.concatenate([x.reads.read_all(), 2 * y.reads.read_all()], axis=2)
        level = np.concatenate([x.reads.level, y.reads.level + 1], axis=1)
        return Bake(
            reads=reads_in_memory(
                reads,
                time=np.array(TIMES),
                level=level,
                read_voltage=0.2,
                temperature=x.reads.temperature,
            )
        )

    fit = fit_bakes([both(a, c), both(b, d)])
    law = fit.block.drift
    assert law.p_common < 1e-3
    assert not law.common
    assert says(fit, "different activation energies")
    for level, truth in zip(law.levels, (0.4, 0.9), strict=True):
        low, high = level.activation_energy.ci95
        assert low < truth < high


def test_no_drift_at_the_cooler_bake_leaves_a_lower_limit():
    fit = fit_bakes(
        [bake(298.15, 1, energy=0.9, drift=-0.002), bake(HOT, 2, energy=0.9, drift=-0.002)]
    )
    assert energy_of(fit) is None
    assert 0.3 < fit.block.drift.assumed_energy.value < 0.9
    assert says(fit, "the lower limit of")


def test_readings_that_never_change_say_nothing():
    fit = fit_bakes([bake(COOL, 1, drift=0, noise=0), bake(HOT, 2, drift=0, noise=0)])
    assert fit.block.drift is None
    assert says(fit, "No reading changes in any bake")


def test_coarse_readings_are_not_taken_as_exact():
    fit = fit_bakes([bake(COOL, 1, round_to=1e-6), bake(HOT, 2, round_to=1e-6)])
    low, high = energy_of(fit).ci95
    assert low < 0.63
    assert high > 0.57


def test_degrees_celsius_are_suspected():
    fit = fit_bakes([bake(85.0, 1, energy=0.0), bake(125.0, 2, energy=0.0)])
    assert says(fit, "State the temperature of every bake in K")
    assert fit.verdict.word == "bad"


def test_a_bake_with_few_cells_is_left_out_and_named():
    fit = fit_bakes([bake(COOL, 1), bake(WARM, 2, side=3), bake(HOT, 3)])
    assert len(fit.block.bakes) == 2
    assert says(fit, "378.1 K is left out")
    with pytest.raises(FitError, match="fewer than two bakes"):
        fit_bakes([bake(COOL, 1, side=3), bake(HOT, 2)])
    with pytest.raises(FitError, match="1 bake is given"):
        fit_bakes([bake(COOL, 1)])


def test_one_reading_after_programming_gives_the_energy_of_the_whole_change():
    def once(kelvin, seed, size):
        one = bake(kelvin, seed, times=(0.0, 3600.0), drift=0.0)
        y = one.reads.read_all().copy()
        y[1] *= 1 - size
        return Bake(
            reads=reads_in_memory(
                y,
                time=np.array([0.0, 3600.0]),
                level=one.reads.level,
                read_voltage=0.2,
                temperature=kelvin,
            )
        )

    f = math.exp(0.5 / 8.617e-5 * (1 / COOL - 1 / HOT))
    fit = fit_bakes([once(COOL, 1, 0.01), once(HOT, 2, 0.01 * f)])
    low, high = energy_of(fit).ci95
    assert low < 0.5 < high
    assert says(fit, "read once after programming")


@pytest.mark.parametrize(
    ("kind", "exponent", "domain"), [("time", 0, ""), ("rate", 0, "linear"), ("rate", 0.3, "log")]
)
def test_virtual_bakes_are_recovered(kind, exponent, domain):
    energy = 0.7
    card = with_groups(random_card(5, distribution="normal", array=(32, 32), failures=False), 5)
    if kind == "rate":
        card = with_bakes(card, energy=energy, exponent=exponent, domain=domain)
    plan = Plan(
        bake_temperatures=(378.15, 393.15),
        bake_energy=energy,
        retention_times=(0.0, 1.0, 60.0, 3600.0, 86400.0),
    )
    m = synthesize(card, groups=("retention",), seed=5, plan=plan)
    law = join_bakes([m]).block.drift
    assert law.accelerates == kind
    assert law.fitted_exponent == (exponent > 0)
    low, high = law.activation_energy.ci95
    assert low - (high - low) / 2 < energy < high + (high - low) / 2


@pytest.fixture(scope="module")
def made_up(shared, tmp_path_factory):
    """Bakes of 2048 cells, ln(G/G0) = −k·√t with k Arrhenius, and their truth."""
    folder = tmp_path_factory.mktemp("logs")
    make = shared / "cases/logs/make.py"
    subprocess.run([sys.executable, str(make), str(folder)], check=True)
    truth = json.loads((folder / "truth.json").read_text())["bake_*.tsv.gz"]
    layout = folder / "lab.toml"
    layout.write_text(
        """
[array]
id = "bakes"
cell = "1T1R"
rows = 32
cols = 64
[source]
kind = "table"
columns = ["address", "time", "r", "g", "level"]
file_name = "bake_{celsius}C*"
[cells]
row = "address // 64"
col = "address % 64"
[levels]
target = [20, 40, 60, 80]
units = "uS"
[retention]
conductance = { column = "g", units = "S" }
read = "time"
time = { column = "time", units = "s" }
level = { column = "level" }
temperature = { column = "celsius", units = "°C" }
"""
    )
    names = [folder / f"bake_{c}C.tsv.gz" for c in (85, 125)]
    (file,) = write_conversion(convert_measurement(names, layout), folder / "bakes.h5")
    return characterize(file), truth


def test_made_up_logs_give_their_energy(made_up):
    found, truth = made_up
    law = found.card.temperature.drift
    low, high = law.activation_energy.ci95
    assert low < truth["activation_energy_eV"] < high
    assert law.exponent.ci95[0] < 0.5 < law.exponent.ci95[1]
    assert law.domain == "log"
    assert law.time_energy.ci95[0] < 2 * truth["activation_energy_eV"] < law.time_energy.ci95[1]
    assert found.card.quality.fits["temperature"].verdict == "warning"


def test_made_up_logs_predict_ten_years(made_up):
    found, truth = made_up
    with pytest.raises(RramfitError, match="has no levels"):
        found.card.levels_at(time=1.0)  # the file has no programming sweeps
    card = virtual_card("four", mean=[20e-6, 40e-6, 60e-6, 80e-6], spread=0.03)
    card = card.model_copy(update={"temperature": found.card.temperature})
    k = truth["k_per_sqrt_hour_at_125C"]
    k *= math.exp(-truth["activation_energy_eV"] / 8.617e-5 * (1 / COOL - 1 / HOT))
    hours = 10 * 365.25 * 24
    at = card.levels_at(time=3600 * hours, temperature=COOL)
    assert at.extrapolated
    for level, target in zip(at.levels, (20e-6, 40e-6, 60e-6, 80e-6), strict=True):
        wanted = target * math.exp(-k * math.sqrt(hours))
        assert level.mean.ci95[0] < wanted * 1.01
        assert level.mean.ci95[1] > wanted * 0.99
    q = equivalent_time(card, 86400.0, temperature=HOT, at=COOL)
    speed = math.exp(2 * truth["activation_energy_eV"] / 8.617e-5 * (1 / COOL - 1 / HOT))
    assert q.ci95[0] < 86400 * speed < q.ci95[1]


def test_cards_join_by_their_drift():
    cards = []
    for k, kelvin in enumerate((COOL, WARM, HOT)):
        fit = fit_bakes([bake(kelvin, k), bake(kelvin, 10 + k)])
        card = random_card(k, distribution="normal", array=(16, 16))
        levels = [
            level.model_copy(update={"mean": Quantity.given(2e-5 * (i + 1), "S")})
            for i, level in enumerate(card.levels)
        ]
        cards.append(card.model_copy(update={"levels": levels, "temperature": fit.block}))
    fit = join_bakes(cards)
    assert len(fit.block.bakes) == 6
    low, high = energy_of(fit).ci95
    assert low < 0.6 < high
    assert says(fit, "Cards state the drift per ln t")
    joined = with_joined_bakes(cards[0], fit)
    assert joined.temperature == fit.block
    assert ModelCard.model_validate_json(joined.model_dump_json()) == joined


def test_other_levels_do_not_join():
    other = bake(HOT, 2)
    y = other.reads.read_all() * 3
    moved = reads_in_memory(
        y, time=np.array(TIMES), level=other.reads.level, read_voltage=0.2, temperature=HOT
    )
    m = [
        synthesize_reads(bake(COOL, 1).reads, "a"),
        synthesize_reads(moved, "b"),
    ]
    with pytest.raises(FitError, match=r"level 0: found .* uS in b and .* uS in a"):
        join_bakes(m)


def synthesize_reads(reads, name):
    from rramfit.measurement.file.record import ArrayIdentity, Measurement

    return Measurement(
        path=None,
        identity=ArrayIdentity(array_id=name, cell="1T1R"),
        rows=16,
        cols=16,
        retention=reads,
    )


def test_laws_and_their_times():
    at = {"step": 0.01, "step_rate": 0.02, "rate": -0.1, "reference_time": 60.0}
    ln_f = acceleration(1.1, HOT, COOL)
    assert ln_f == pytest.approx(1.1 / BOLTZMANN * (1 / COOL - 1 / HOT))
    for accelerates in ("rate", "time"):
        for m in (0.0, 0.4, -0.2):
            hot = law_change(3600.0, log_factor=ln_f / 4, exponent=m, accelerates=accelerates, **at)
            t = equal_change_time(
                3600.0,
                log_factor=ln_f / 4,
                exponent=m,
                reference_time=60.0,
                accelerates=accelerates,
                step_per_rate=-0.2,
            )
            same = (
                law_change(float(t), log_factor=0.0, exponent=m, accelerates=accelerates, **at)
                if np.isfinite(t)
                else np.nan
            )
            if np.isfinite(t):
                assert float(same) == pytest.approx(float(hot), rel=1e-9)
            else:
                assert m < 0


def test_bounds_where_nothing_failed():
    """3/n at 95 %; FIT of 231 parts over 1000 h as in the usual tables; sizes are the inverse."""
    assert share_bound(0, 3000) == pytest.approx(1 - 0.05 ** (1 / 3000))
    assert failure_share(0, 1000).ci95 == pytest.approx((0.0, 1 - 0.025 ** (1 / 1000)))
    assert failure_rate_bound(0, 231, 1000.0) == pytest.approx(-math.log(0.05) / 231e3)
    assert cells_needed(1e-3) == 2995
    n = cells_needed(1e-3, failed=2)
    assert share_bound(2, n) <= 1e-3 < share_bound(2, n - 1)
    with pytest.raises(FitError, match="at most as many"):
        failure_share(3, 2)
    with pytest.raises(FitError, match="between 0 and 1"):
        cells_needed(0.0)


def test_no_equivalent_time_without_a_law():
    card = random_card(1, distribution="normal", array=(16, 16))
    with pytest.raises(RramfitError, match="no law of several bakes"):
        equivalent_time(card, 100.0, temperature=HOT, at=COOL)
