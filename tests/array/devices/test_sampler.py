"""Drawn chips against the card they are drawn from: every family, every factor.

Chips are independent, so the mean of a statistic over chips is compared with its known expectation,
within `K` standard errors. With about 500 such comparisons in this file, one run in 300 exceeds 4.5
standard errors by chance. Seeds are fixed.
"""

import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, draw_chips
from rramfit.array.devices.device_model import FACTORS
from rramfit.card.cells import Fault
from rramfit.card.families import FAMILIES
from rramfit.card.quantity import Quantity
from rramfit.card.schema import ReadNoiseCard
from rramfit.errors import ArrayError
from rramfit.measurement import random_card, virtual_card
from rramfit.streams import torch_stream

K = 4.5
CHIPS, SHAPE = 300, (20, 28)


def near(per_chip, want, k=K):
    """Assert that the mean over chips is within k standard errors of the expected value."""
    x = np.asarray(per_chip, dtype=np.float64).reshape(len(per_chip), -1).mean(axis=1)
    error = k * x.std(ddof=1) / math.sqrt(len(x))
    assert abs(x.mean() - want) <= error, f"{x.mean():.6g} is not {want:.6g} ± {error:.2g}"


def model_of(card, **options):
    return DeviceModel.from_card(card, **({"dtype": torch.float64} | options))


def programmed(chips, level, seed, n=1):
    generator = torch_stream(seed, "program")
    pattern = torch.full(chips.shape, level)
    return [chips.program(pattern, generator=generator) for _ in range(n)]


@pytest.mark.parametrize("distribution", FAMILIES)
def test_level_and_variation_are_those_of_the_card(distribution):
    card = random_card(4, distribution=distribution, array=SHAPE, failures=False)
    chips = draw_chips(model_of(card), CHIPS, generator=torch_stream(1, distribution))
    read = torch_stream(2, distribution)
    mean = np.array([level.mean.value for level in card.levels])
    deviations = []
    for k, (level, v) in enumerate(zip(card.levels, card.variation, strict=True)):
        first, second = programmed(chips, k, 3 + k, n=2)
        y = [first.read(read).numpy() - mean[k], first.read(read).numpy() - mean[k]]
        other = second.read(read).numpy() - mean[k]
        deviations.append(y[0])
        near(y[0] + mean[k], level.mean.value)
        near(y[0] ** 2, level.std.value**2)
        near(y[0] * other, v.d2d.value**2)  # covariance of two cycles of a cell
        near(
            y[0] * y[1] - y[0] * other, v.c2c.value**2
        )  # what two reads of a state share beyond that
        near((y[0] - y[1]) ** 2 / 2, v.read.value**2)
    for j, k in ((0, 1), (0, 2), (1, 2)):
        between = card.variation[j].d2d.value * card.variation[k].d2d.value
        near(deviations[j] * deviations[k], card.variation_correlation[j][k] * between)


@pytest.mark.parametrize("distribution", FAMILIES)
def test_the_field_has_the_share_and_length_of_the_card(distribution):
    card = virtual_card(
        "field",
        mean=[30e-6, 90e-6],
        spread=0.15,
        distribution=distribution,
        between_cells=0.7,
        field_share=0.6,
        field_length=5.0,
        array=SHAPE,
    )
    chips = draw_chips(model_of(card), CHIPS, generator=torch_stream(5, distribution))
    (state,) = programmed(chips, 1, 6)
    y = state.conductance.numpy() - 90e-6
    d2d2 = card.variation[1].d2d.value ** 2
    near(y[:, :-5] * y[:, 5:], 0.6 * d2d2 / math.e)  # 5 rows apart
    near(y[:, :, :-5] * y[:, :, 5:], 0.6 * d2d2 / math.e)
    near(y[:, :-3, :-4] * y[:, 3:, 4:], 0.6 * d2d2 / math.e)
    near(y[:, :-19] * y[:, 19:], 0.0)  # exp(−14)
    # Between 0 and ℓ a distribution that is not normal deviates from the Gaussian by about 0.1 %.
    near(y[:, :-1] * y[:, 1:], 0.6 * d2d2 * math.exp(-1 / 25))


def test_trends_are_those_of_the_card():
    card = virtual_card(
        "trend",
        mean=[30e-6, 90e-6],
        spread=0.1,
        row_trend=1e-3,
        col_trend=-5e-4,
        array=SHAPE,
    )
    chips = draw_chips(model_of(card), CHIPS, generator=torch_stream(7, "trend"))
    (state,) = programmed(chips, 1, 8)
    y = state.conductance.numpy()
    r, c = np.arange(20) - 9.5, np.arange(28) - 13.5
    near((y * r[:, None]).mean(axis=(1, 2)) / (r**2).mean(), 1e-3 * 90e-6)
    near((y * c).mean(axis=(1, 2)) / (c**2).mean(), -5e-4 * 90e-6)
    near((y - 90e-6) ** 2, (0.1 * 90e-6) ** 2)  # the trend is part of the level's spread
    near(y, 90e-6)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.4])
def test_read_noise_depends_on_conductance_as_in_the_card(exponent):
    card = virtual_card("read", mean=[30e-6, 200e-6], spread=0.2, read=0.03, array=SHAPE)
    noise = ReadNoiseCard(
        coefficient=Quantity.given(0.03, "1"),
        exponent=Quantity.given(exponent, "1"),
        reference_conductance=Quantity.given(200e-6, "S"),
    )
    model = model_of(card.model_copy(update={"read_noise": noise}))
    chips = draw_chips(model, CHIPS, generator=torch_stream(1, "read"))
    (state,) = programmed(chips, 1, 2)
    read = torch_stream(3, "read")
    g = state.conductance.numpy()
    v = (state.read(read).numpy() - g) ** 2
    near(v, (0.03 * 200e-6) ** 2)  # the read noise of the level, for every exponent
    # std/G is proportional to G^exponent: scaled by that, the noise does not depend on G.
    flat = v / (g / 200e-6) ** (2 + 2 * exponent)
    near((flat - flat.mean()) * (g - 200e-6), 0.0)
    spread = (200e-6 * 0.2) ** 2
    steeper = v / (g / 200e-6) ** (1 + 2 * exponent)
    slope = ((steeper - steeper.mean()) * (g - 200e-6)).mean() / spread
    assert slope > 0.5 * steeper.mean() / 200e-6
    y = state.read(read).numpy()
    near((y - 200e-6) ** 2, (0.2 * 200e-6) ** 2)


FAULTY = {
    "mean": [30e-6, 90e-6, 200e-6],
    "spread": 0.1,
    "hard": [0.02, 0.05, 0.01],
    "soft": [0.1, 0.03, 0.2],
    "stuck": {
        "low": 0.03,
        "high": 0.02,
        "low_conductance": 2e-6,
        "high_conductance": 300e-6,
        "dead_rows": 0.05,
        "dead_cols": 0.02,
    },
    "read": 0.01,
    "array": SHAPE,
}


@pytest.fixture(scope="module")
def faulty():
    card = virtual_card("faulty", **FAULTY, failed_at=10e-6)
    return card, draw_chips(model_of(card), CHIPS, generator=torch_stream(9, "faulty"))


def test_failures_are_those_of_the_card(faulty):
    card, chips = faulty
    ok = (chips.fault == Fault.OK).numpy()
    for k, f in enumerate(card.failure):
        first, second = (s.accepted.numpy() for s in programmed(chips, k, 10 + k, n=2))
        near(~first, f.probability.value)  # over all cells, including stuck and dead ones
        hard, soft = f.hard.value, f.soft.value
        both = (~first & ~second & ok).sum(axis=(1, 2)) / ok.sum(axis=(1, 2))
        near(both, hard + (1 - hard) * soft**2)
        near((~first & ok).sum(axis=(1, 2)) / ok.sum(axis=(1, 2)), hard + (1 - hard) * soft)
        assert not first[chips.hard[:, k].numpy()].any()


def test_faults_are_those_of_the_card(faulty):
    _, chips = faulty
    fault, f = chips.fault.numpy(), FAULTY["stuck"]
    dead = np.isin(fault, (Fault.DEAD_ROW, Fault.DEAD_COL))
    near((fault == Fault.DEAD_ROW).any(axis=2), f["dead_rows"])
    near((fault == Fault.DEAD_COL).any(axis=1), f["dead_cols"])
    near((fault == Fault.STUCK_LOW).sum(axis=(1, 2)) / (~dead).sum(axis=(1, 2)), f["low"])
    near((fault == Fault.STUCK_HIGH).sum(axis=(1, 2)) / (~dead).sum(axis=(1, 2)), f["high"])
    states = [s.conductance.numpy() for k in range(3) for s in programmed(chips, k, k)]
    for g in states:  # a stuck cell does not change with the target level
        np.testing.assert_array_equal(g[fault != Fault.OK], states[0][fault != Fault.OK])
    g = states[0]
    assert (g[dead] == 0).all()
    for code, median in ((Fault.STUCK_LOW, 2e-6), (Fault.STUCK_HIGH, 300e-6)):
        x = np.log(g[fault == code] / median)
        assert abs(x.mean()) < K * x.std() / math.sqrt(x.size)


def test_failed_cells_have_the_conductance_of_the_card(faulty):
    _, chips = faulty
    (state,) = programmed(chips, 2, 20)
    failed = (~state.accepted & (chips.fault == Fault.OK)).numpy()
    below = state.conductance.numpy()[failed] < 10e-6
    assert abs(below.mean() - 0.5) < K * 0.5 / math.sqrt(below.size)
    # Without a stated median it is the distribution of the lowest level.
    model = model_of(virtual_card("default", **FAULTY))
    other = draw_chips(model, CHIPS, generator=torch_stream(9, "faulty"))
    (state,) = programmed(other, 2, 20)
    left = state.conductance.numpy()
    near([g[f].mean() for g, f in zip(left, failed, strict=True)], 30e-6)
    near([(g[f] ** 2).mean() for g, f in zip(left, failed, strict=True)], (30e-6) ** 2 * 1.01)


def test_failures_do_not_change_the_distribution_of_accepted_cells(faulty):
    card, chips = faulty
    sound = draw_chips(
        model_of(card).without("failure", "stuck", "dead_lines"),
        CHIPS,
        generator=torch_stream(9, "faulty"),
    )
    for k in range(3):
        (a,), (b,) = programmed(chips, k, k), programmed(sound, k, k)
        taken = a.accepted
        assert bool(b.accepted.all())
        assert torch.equal(a.conductance[taken], b.conductance[taken])


def test_a_stuck_cell_is_accepted_at_the_level_of_its_conductance():
    stuck = {"high": 0.1, "high_conductance": 200e-6}
    card = virtual_card("pass", mean=[30e-6, 200e-6], spread=0.1, window=0.15, stuck=stuck)
    chips = draw_chips(model_of(card), 20, generator=torch_stream(1, "pass"))
    at = chips.fault == Fault.STUCK_HIGH
    low, high = (programmed(chips, k, 3)[0].accepted[at].numpy() for k in (0, 1))
    assert not low.any()
    inside = math.erf(math.log(1.15) / 0.1 / math.sqrt(2)) / 2
    inside += math.erf(-math.log(0.85) / 0.1 / math.sqrt(2)) / 2
    assert abs(high.mean() - inside) < K * math.sqrt(inside * (1 - inside) / high.size)


@pytest.mark.parametrize(
    ("factor", "change"),
    [
        ("d2d", "d2d"),
        ("c2c", "c2c"),
        ("trend", "trend"),
        ("field", None),
        ("read", "read"),
        ("retention", None),
    ],
)
def test_a_factor_that_is_off_removes_only_its_own_variance(factor, change):
    card = random_card(12, distribution="gamma", array=SHAPE, failures=False)
    model = model_of(card).without(factor)
    chips = draw_chips(model, CHIPS, generator=torch_stream(2, "off"))
    k, v = 1, card.variation[1]
    trend = (v.spatial.row_trend.value**2) * (20**2 - 1) / 12
    trend += (v.spatial.col_trend.value**2) * (28**2 - 1) / 12
    part = {
        "d2d": v.d2d.value**2 - trend,
        "c2c": v.c2c.value**2,
        "trend": trend,
        "read": v.read.value**2,
        None: 0.0,
    }
    (state,) = programmed(chips, k, 3)
    y = state.read(torch_stream(4, "off")).numpy()
    near(y, card.levels[k].mean.value)
    near((y - card.levels[k].mean.value) ** 2, card.levels[k].std.value ** 2 - part[change])


def test_with_every_factor_off_a_cell_is_its_levels_mean():
    model = model_of(random_card(12, distribution="student_t")).without(*FACTORS)
    chips = draw_chips(model, 2, shape=(4, 4), generator=torch_stream(2, "off"))
    level = torch.arange(16).reshape(4, 4) % 3
    state = chips.program(level, generator=torch_stream(3, "off"))
    assert bool(state.accepted.all())
    read = state.age(1e6, torch_stream(1, "x")).read(torch_stream(1, "y"))
    assert torch.equal(read, model.mean[level].expand(2, 4, 4))


def test_switching_a_factor_never_shifts_another():
    model = model_of(random_card(3))
    for factor in ("read", "retention", "failure", "trend", "stuck"):
        pair = []
        for m in (model, model.without(factor)):
            generator = torch_stream(3, "whole")
            chips = draw_chips(m, 2, generator=generator)
            chips.program(torch.zeros(chips.shape, dtype=torch.int64), generator=generator)
            pair.append((chips.deviation, chips.hard, torch.rand(1, generator=generator)))
        assert all(torch.equal(a, b) for a, b in zip(*pair, strict=True)), factor


def test_the_same_generator_gives_the_same_chip_in_either_precision():
    card = random_card(3)
    states = []
    for dtype in (torch.float32, torch.float32, torch.float64):
        generator = torch_stream(3, "whole")
        chips = draw_chips(model_of(card, dtype=dtype), 2, generator=generator)
        states += programmed(chips, 1, 1)
    assert torch.equal(states[0].conductance, states[1].conductance)
    assert states[2].conductance.dtype == torch.float64


def test_wrong_patterns_are_refused():
    chips = draw_chips(model_of(random_card(3)), 1, generator=torch_stream(1, "x"))
    generator = torch_stream(1, "y")
    with pytest.raises(ArrayError, match="the pattern has levels 0 to 3; the model has 0 to 2"):
        chips.program(torch.arange(4096).reshape(64, 64) % 4, generator=generator)
    with pytest.raises(
        ArrayError, match=r"shape \(3, 3\); expected the rows and columns of .*\(64, 64\)"
    ):
        chips.program(torch.zeros((3, 3), dtype=torch.int64), generator=generator)
    with pytest.raises(ArrayError, match="'wires'"):
        chips.model.without("wires")


def test_unprogrammed_cells_stay_at_the_lowest_level_and_are_not_accepted():
    card = random_card(3, failures=False)
    chips = draw_chips(model_of(card), 3, generator=torch_stream(1, "x"))
    level = torch.full(chips.shape, 2)
    level[:, :5] = -1
    state = chips.program(level, generator=torch_stream(1, "y"))
    assert bool((state.accepted == (level >= 0)).all())
    idle = state.conductance[:, :, :5]
    assert float(idle.max()) < float(state.conductance[:, :, 5:].min())


@pytest.mark.parametrize("device", ["cuda"])
def test_on_another_device(device):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    card = random_card(3, distribution="gamma", array=(64, 64))
    model = model_of(card, device=device, dtype=torch.float32)
    chips = draw_chips(model, 64, generator=torch_stream(1, "x", device=device))
    level = torch.ones(chips.shape, dtype=torch.int64, device=device)
    generator = torch_stream(2, "x", device=device)
    state = chips.program(level, generator=generator)
    y = state.read(generator)
    assert y.device.type == device
    taken = state.accepted & (chips.fault == Fault.OK)
    near(
        [float(g[t].double().mean()) for g, t in zip(y, taken, strict=True)],
        card.levels[1].mean.value,
    )
