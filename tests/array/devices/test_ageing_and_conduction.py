"""Ageing, conduction and read-out against the card's formulas, implemented in numpy."""

import math

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, draw_channels, draw_chips
from rramfit.card.quantity import Quantity
from rramfit.card.schema import DriftCard, IVCard, ReadoutCard, RetentionCard
from rramfit.errors import ArrayError
from rramfit.measurement import virtual_card
from rramfit.streams import torch_stream

K = 4.5
CARD = virtual_card("aged", mean=[30e-6, 200e-6], spread=0.1, read=0.01, array=(40, 50))


def given(**values):
    return {
        name: Quantity.given(x, unit)
        for name, (x, unit) in values.items()
    }  # fmt: skip


def drawn(count=40, **parts):
    model = DeviceModel.from_card(CARD.model_copy(update=parts), dtype=torch.float64)
    chips = draw_chips(model, count, generator=torch_stream(1, "chips"))
    level = torch.ones(chips.shape, dtype=torch.int64)
    return chips, chips.program(level, generator=torch_stream(2, "program"))


def near(x, want):
    x = np.asarray(x).ravel()
    assert abs(x.mean() - want) < K * x.std() / math.sqrt(x.size)


RETENTION = RetentionCard(
    reference_time=Quantity.given(10.0, "s"),
    longest_time=Quantity.given(1e6, "s"),
    levels=[
        DriftCard(
            level=1,
            first_step=Quantity.given(-3e-6, "S"),
            # includes the noise of two reads of 2 uS
            first_spread=Quantity.given(math.sqrt(2 * (2e-6) ** 2 + (4e-6) ** 2), "S"),
            drift=Quantity.given(-1e-6, "S"),
            growth=Quantity.given(1.5e-6, "S"),
        )
    ],
)


def test_states_drift_and_spread_with_the_logarithm_of_time():
    _, state = drawn(retention=RETENTION)
    generator = torch_stream(3, "age")
    g = {0: state.conductance.numpy()}
    for time in (5.0, 10.0, 10 * math.e, 10 * math.e**3):
        state = state.age(time, generator)
        g[time] = state.conductance.numpy()
    np.testing.assert_array_equal(g[0], g[5.0])  # constant before the reference time
    first, one, two = g[10.0] - g[0], g[10 * math.e] - g[10.0], g[10 * math.e**3] - g[10 * math.e]
    near(first, -3e-6)
    near((first + 3e-6) ** 2, (4e-6) ** 2)
    near(one, -1e-6)
    near((one + 1e-6) ** 2, (1.5e-6) ** 2)
    near(two, -2e-6)
    near((two + 2e-6) ** 2, 2 * (1.5e-6) ** 2)
    near((one + 1e-6) * (two + 2e-6), 0.0)  # steps are independent


def test_one_long_step_is_like_many_short_ones():
    _, state = drawn(retention=RETENTION)
    late = state.age(10 * math.e**3, torch_stream(3, "age"))
    change = (late.conductance - state.conductance).numpy()
    near(change, -6e-6)
    near((change + 6e-6) ** 2, (4e-6) ** 2 + 3 * (1.5e-6) ** 2)


LOW = virtual_card("low", mean=[2e-6, 40e-6], spread=0.3, distribution="normal", array=(64, 64))
FALLING = RetentionCard(
    reference_time=Quantity.given(0.01, "s"),
    longest_time=Quantity.given(1e5, "s"),
    levels=[
        DriftCard(
            level=k,
            first_step=Quantity.given(-0.05 * mean, "S"),
            first_spread=Quantity.given(0.1 * mean, "S"),
            drift=Quantity.given(drift * mean, "S"),
            growth=Quantity.given(growth * mean, "S"),
        )
        for k, mean, drift, growth in ((0, 2e-6, -0.02, 0.2), (1, 40e-6, -0.004, 0.02))
    ],
)


@pytest.mark.parametrize("times", [(1e5,), (0.02, 1.0, 300.0, 1e5)], ids=["one step", "four"])
@pytest.mark.parametrize("off", [(), ("d2d",), ("d2d", "c2c")], ids=str)
def test_states_stay_positive_and_keep_the_card_s_moments(times, off):
    """The lowest level spreads by 80 % of its mean: 19 % of cells would pass zero."""
    model = DeviceModel.from_card(
        LOW.model_copy(update={"retention": FALLING}), dtype=torch.float64
    ).without(*off)
    chips = draw_chips(model, 24, generator=torch_stream(1, "chips"))
    level = torch.arange(64 * 64).reshape(64, 64) % 2
    state = chips.program(level, generator=torch_stream(2, "program"))
    start, generator = state.conductance, torch_stream(3, "age")
    for time in times:
        state = state.age(time, generator)
        x = math.log(time / 0.01)
        for k, card in enumerate(FALLING.levels):
            change = (state.conductance - start)[:, level == k].numpy()
            mean = card.first_step.value + card.drift.value * x
            near(change, mean)
            near((change - mean) ** 2, card.first_spread.value**2 + card.growth.value**2 * x)
    assert (state.conductance[start > 0] > 0).all()


def test_a_mean_below_zero_stops_above_it():
    falling = FALLING.model_copy(
        update={
            "levels": [FALLING.levels[0].model_copy(update={"drift": Quantity.given(-1e-6, "S")})]
        }
    )
    model = DeviceModel.from_card(LOW.model_copy(update={"retention": falling}))
    chips = draw_chips(model, 8, generator=torch_stream(1, "chips"))
    zero = torch.zeros(chips.shape, dtype=torch.int64)
    state = chips.program(zero, generator=torch_stream(2, "program"))
    late = state.age(1e5, torch_stream(3, "age")).conductance
    assert float(late.mean()) < 0.05 * 2e-6
    assert (late[state.conductance > 0] >= 0).all()


def test_a_level_read_below_zero_ages_in_siemens():
    """A read-out offset can make the mean of a level negative; a card of it is drawn as it is."""
    levels = [
        LOW.levels[0].model_copy(
            update={
                "mean": Quantity.given(-1e-6, "S"),
                "std": Quantity.given(0.5e-6, "S"),
                "distribution": None,
            }
        ),
        LOW.levels[1],
    ]
    card = LOW.model_copy(update={"levels": levels, "retention": FALLING, "variation": []})
    model = DeviceModel.from_card(card, dtype=torch.float64)
    chips = draw_chips(model, 24, generator=torch_stream(1, "chips"))
    state = chips.program(
        torch.zeros(chips.shape, dtype=torch.int64), generator=torch_stream(2, "program")
    )
    assert float(state.conductance.mean()) < 0
    change = (state.age(0.01, torch_stream(3, "age")).conductance - state.conductance).numpy()
    near(change, -0.05 * 2e-6)
    near((change + 0.05 * 2e-6) ** 2, (0.1 * 2e-6) ** 2)


def test_time_does_not_run_backwards():
    _, state = drawn(count=1, retention=RETENTION)
    late = state.age(100.0, torch_stream(3, "age"))
    with pytest.raises(
        ArrayError, match="at 100 s after programming; expected a later time, not 50 s"
    ):
        late.age(50.0, torch_stream(3, "age"))


def test_stuck_cells_do_not_age():
    stuck = virtual_card(
        "stuck", mean=[30e-6, 200e-6], spread=0.1, stuck={"low": 0.2, "high": 0.2}, array=(20, 20)
    )
    model = DeviceModel.from_card(stuck.model_copy(update={"retention": RETENTION}))
    chips = draw_chips(model, 1, generator=torch_stream(1, "x"))
    level = torch.ones(chips.shape, dtype=torch.int64)
    state = chips.program(level, generator=torch_stream(1, "y"))
    moved = state.age(1e4, torch_stream(1, "z")).conductance != state.conductance
    assert torch.equal(moved, chips.fault == 0)


@pytest.mark.parametrize(
    "line", [{}, {"dependence": (-0.3, "1/V")}, {"slope": (-4e3, "1/(V S)")}], ids=str
)
def test_card_conductance_is_at_the_read_voltage(line):
    iv = IVCard(
        **given(
            nonlinearity=(1.5, "1/V"),
            spread=(0.2, "1/V"),
            reference_conductance=(150e-6, "S"),
            **line,
        )
    )
    chips, state = drawn(iv=iv)
    g0, b = (x.numpy() for x in chips.conduction(state.conductance))
    voltage = CARD.domain.read_voltage.value
    # three fixed-point rounds have an error of 1e-6 at these curvatures
    np.testing.assert_allclose(
        g0 * np.sinh(b * voltage) / (b * voltage), state.conductance.numpy(), rtol=1e-5
    )
    centre = 1.5 + line.get("dependence", (0,))[0] * np.log(g0 / 150e-6)
    centre = centre + line.get("slope", (0,))[0] * (g0 - 150e-6)
    near(b - centre, 0.0)
    near((b - centre) ** 2, 0.04)


def test_without_iv_cells_are_resistors():
    chips, state = drawn(count=1)
    g0, b = chips.conduction(state.conductance)
    assert torch.equal(g0, state.conductance)
    assert not bool(b.any())


READOUT = ReadoutCard(
    bits=8,
    **given(
        full_scale=(1e-3, "A"),
        gain=(2.2e5, "LSB/A"),
        offset=(12.0, "LSB"),
        third_order=(-4.0, "LSB"),
        noise=(0.8, "LSB"),
        gain_spread=(0.02, "1"),
        offset_spread=(1.5, "LSB"),
    ),
)


def test_codes_are_those_of_the_formula():
    channels = draw_channels(READOUT, 3, 5, generator=torch_stream(1, "adc"), dtype=torch.float64)
    current = torch.linspace(-2e-4, 1.4e-3, 31, dtype=torch.float64)
    known = current[None, :, None].expand(3, 31, 5)
    noiseless = channels.transfer(known).numpy()
    for chip in range(3):
        for c in range(5):
            want = [
                float(channels.offset[chip, c])
                + float(channels.gain[chip, c]) * i
                - 4.0 * (i / 1e-3) ** 3
                for i in current.tolist()
            ]
            np.testing.assert_allclose(noiseless[chip, :, c], want, rtol=1e-12)
    codes = channels.digitise(
        known[:, None].expand(3, 2000, 31, 5), generator=torch_stream(2, "adc")
    )
    assert float(codes.min()) == 0
    assert float(codes.max()) == 255
    inside = (noiseless > 10) & (noiseless < 245)
    error = codes.numpy()[:, :, :, :] - noiseless[:, None]
    spread = error.transpose(0, 2, 3, 1)[inside]
    near(spread, 0.0)
    near(spread**2, 0.8**2)  # the noise of codes, rounding included


def test_channels_have_the_spreads_of_the_card():
    channels = draw_channels(
        READOUT, 40, 128, generator=torch_stream(1, "adc"), dtype=torch.float64
    )
    near(channels.gain, 2.2e5)
    near((channels.gain / 2.2e5 - 1) ** 2, 0.02**2)
    near(channels.offset, 12.0)
    near((channels.offset - 12) ** 2, 1.5**2)


def test_listed_channels_keep_their_values():
    card = READOUT.model_copy(
        update={"channels": [1, 3], "channel_gain": [2e5, 2.1e5], "channel_offset": [7.0, 8.0]}
    )
    channels = draw_channels(card, 2, 4, generator=torch_stream(1, "adc"))
    assert channels.gain[:, [1, 3]].tolist() == [[2e5, 2.1e5]] * 2
    assert channels.offset[:, [1, 3]].tolist() == [[7.0, 8.0]] * 2
    assert len(channels.gain.unique()) == 6


def test_a_card_with_only_its_inl_gets_a_cubic_of_that_inl():
    card = ReadoutCard(bits=8, **given(full_scale=(1e-3, "A"), inl=(1.2, "LSB")))
    channels = draw_channels(card, 1, 1, generator=torch_stream(1, "adc"), dtype=torch.float64)
    current = np.linspace(0, 1e-3, 4001)
    code = channels.transfer(torch.from_numpy(current)[None, :, None])[0, :, 0].numpy()
    line = np.polynomial.Polynomial.fit(current, code, 1)
    assert np.abs(code - line(current)).max() == pytest.approx(1.2, rel=1e-3)
