"""Read-out fits of rounded codes from a known transfer, checked against numpy least squares."""

import dataclasses
import math

import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.electrical.readout import fit_readout
from rramfit.measurement.file.record import Readout

BITS, FULL_SCALE, ZERO = 10, 100e-6, 40
GAIN, GAIN_SPREAD, OFFSET_SPREAD, CUBIC, NOISE = 900.0, 0.01, 3.0, 8.0, 0.7


def readout(seed, *, channels=64, repeats=8, points=41, top=1.0, steps=0.0, cubic=CUBIC):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, top, points)
    gain = GAIN * (1 + GAIN_SPREAD * rng.standard_normal(channels))
    offset = ZERO + OFFSET_SPREAD * rng.standard_normal(channels)
    code = offset + gain * x[:, None] + cubic * x[:, None] ** 3 + steps * (x[:, None] > top / 2)
    code = code + NOISE * rng.standard_normal((repeats, points, channels))
    return Readout(
        input=x * FULL_SCALE,
        code=np.clip(np.rint(code), 0, 2**BITS - 1),
        channel_col=None,
        bits=BITS,
        full_scale=FULL_SCALE,
        zero_code=ZERO,
    )


def distances(cubic):
    """Return the largest distance of a cubic from its best-fit line and from its endpoint line."""
    x = np.linspace(0, 1, 41)
    y = cubic * x**3
    slope, intercept = np.polyfit(x, y, 1)
    return np.abs(y - slope * x - intercept).max(), np.abs(y - cubic * x).max()


def test_recovers_the_transfer_and_its_errors():
    """Mean z is within 4/√n of 0 and its rms near 1 (χ² of 40 at 1e-4: 0.6 to 1.45)."""
    inl, end = distances(CUBIC)
    truth = {
        "gain": GAIN / FULL_SCALE,
        "offset": ZERO,
        "inl": inl,
        "inl_endpoint": end,
        "third_order": CUBIC,
        "gain_spread": GAIN_SPREAD,
        "offset_spread": OFFSET_SPREAD,
        "noise": math.sqrt(NOISE**2 + 1 / 12),  # rounding is noise between repeats
    }
    z = {name: [] for name in truth}
    for seed in range(40):
        fit = fit_readout(readout(seed))
        assert fit.verdict.ok
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(40) + 0.2, name
        assert 0.6 < np.std(values) < 1.45, name


def test_clipped_codes_are_left_out():
    """With part of the range beyond the rail, the gain is still the true one."""
    fit = fit_readout(readout(1, top=1.3, cubic=0.0))
    assert fit.clipped > 0.1
    assert fit.result["gain"] * FULL_SCALE == pytest.approx(
        GAIN, abs=4 * fit.result.estimates["gain"].stderr * FULL_SCALE
    )
    assert "at a rail" in fit.verdict.findings[0].what


def test_nonlinearity_of_a_step_is_taken_from_raw_means():
    fit = fit_readout(readout(2, steps=6.0, cubic=0.0, channels=16))
    assert not fit.smooth
    assert any("deviate from a smooth curve" in f.what for f in fit.verdict.findings)
    assert fit.result["inl"] > 2.0


def test_one_channel_with_one_repeat_can_be_fitted():
    record = readout(3, channels=1, repeats=1)
    fit = fit_readout(record)
    x, y = record.input / FULL_SCALE, record.code[0, :, 0]
    expected = np.linalg.lstsq(np.stack([np.ones_like(x), x, x**3], axis=1), y)[0]
    assert fit.result["offset"] == pytest.approx(expected[0], rel=1e-9)
    assert fit.result["gain"] * FULL_SCALE == pytest.approx(expected[1], rel=1e-9)
    assert fit.result["third_order"] == pytest.approx(expected[2], rel=1e-9)
    q = fit.result.estimates["noise"]
    assert q.value == pytest.approx(math.sqrt(NOISE**2 + 1 / 12), abs=4 * q.stderr)
    assert "gain_spread" not in fit.result.estimates


def test_broken_and_clipping_channels_are_reported():
    record = readout(4, channels=20)
    code = record.code.copy()
    code[:, :, 3] = 41.0
    code[:, :, 5] = 2**BITS - 1
    fit = fit_readout(
        Readout(
            input=record.input,
            code=code,
            channel_col=None,
            bits=BITS,
            full_scale=FULL_SCALE,
            zero_code=ZERO,
        )
    )
    findings = " ".join(f.what for f in fit.verdict.findings)
    assert "1 of 20 channels have a gain more than 50 % off the median" in findings
    assert "1 of 20 channels have unclipped codes at fewer than 4" in findings
    assert fit.channels.tolist() == [c for c in range(20) if c not in (3, 5)]
    assert fit.to_card().channels == fit.channels.tolist()
    assert "LSB" in fit.plot().get_ylabel()


def test_too_few_data_raise_an_error_with_numbers():
    with pytest.raises(FitError, match="at 3 different inputs"):
        fit_readout(readout(1, points=3))
    constant = readout(1, channels=2)
    constant = dataclasses.replace(constant, code=np.full(constant.code.shape, 128.0))
    with pytest.raises(FitError, match="LSB over all inputs; expected at least 1 LSB"):
        fit_readout(constant)


BOWS = {
    "one end": {},
    "both ends alike": {"low": -1.0},
    "one channel": {"low": -1.0, "channels": 1},
    "large": {"cubic": -60.0},
    "few readings": {"repeats": 2, "points": 17},
    "quiet": {"noise": 0.15, "repeats": 4},
    "channels differ": {"cubic": 0.0, "square_spread": 3.0, "channels": 24},
}


def bowed(seed, *, low=0.0, channels=32, points=41, repeats=4, cubic=CUBIC, square_spread=0.0,
          noise=NOISE):  # fmt: skip
    """Return a record, and the true mean largest distances of many such channels."""
    rng = np.random.default_rng(seed)
    x = np.linspace(low, 1, points)[:, None]
    square = square_spread * rng.standard_normal((2000, 1)).T
    bow = cubic * x**3 + square * x**2
    line = np.polynomial.polynomial.polyvander(x[:, 0], 1)
    best = np.abs(bow - line @ np.linalg.lstsq(line, bow)[0]).max(axis=0)
    ends = np.abs(bow - bow[0] - (x - low) / (1 - low) * (bow[-1] - bow[0])).max(axis=0)
    gain = GAIN / (1 - low) * (1 + GAIN_SPREAD * rng.standard_normal(channels))
    code = OFFSET_SPREAD * rng.standard_normal(channels) + gain * x + bow[:, :channels]
    code = code + (ZERO if low == 0 else 0)
    code = np.rint(code + noise * rng.standard_normal((repeats, *code.shape)))
    record = Readout(
        input=x[:, 0] * FULL_SCALE,
        code=code,
        channel_col=None,
        bits=BITS,
        full_scale=FULL_SCALE,
        zero_code=ZERO,
    )
    return record, {"inl": float(best.mean()), "inl_endpoint": float(ends.mean())}


@pytest.mark.parametrize("kind", BOWS)
def test_intervals_of_the_largest_distance_contain_it(kind):
    """Of 40 intervals, 33 or fewer contain the truth once in 1,000 times if 95 % should."""
    hits, z = {}, {}
    for seed in range(40):
        record, truth = bowed(seed, **BOWS[kind])
        fit = fit_readout(record)
        for name, true in truth.items():
            q = fit.result.estimates[name]
            hits.setdefault(name, []).append(q.ci95[0] <= true <= q.ci95[1])
            z.setdefault(name, []).append((q.value - true) / q.stderr)
    for name, of in hits.items():
        assert sum(of) > 33, name
        assert abs(np.median(z[name])) < 4 * 1.25 / math.sqrt(40), name  # of a median


def test_a_line_has_a_nonlinearity_that_can_be_zero():
    at_zero = []
    for seed in range(20):
        record, _ = bowed(seed, cubic=0.0)
        fit = fit_readout(record)
        for name in ("inl", "inl_endpoint"):
            q = fit.result.estimates[name]
            at_zero.append(q.ci95[0] == 0)
            assert q.ci95[0] <= q.value < q.ci95[1] < 0.2
    assert np.mean(at_zero) > 0.8


def test_channels_that_do_not_differ_have_one_nonlinearity():
    """Drawn chips take the channels' values: noise is not a difference between channels."""
    record, truth = bowed(3)
    fit = fit_readout(record)
    assert np.ptp(fit.inl) < 1e-9
    q = fit.result.estimates["inl"]
    assert fit.inl.mean() == pytest.approx(q.value)
    assert q.value == pytest.approx(truth["inl"], abs=4 * q.stderr)
    differing, _ = bowed(3, **BOWS["channels differ"])
    assert np.std(fit_readout(differing).inl) > 0.1


@pytest.mark.parametrize(("points", "repeats"), [(6, 4), (4, 4), (4, 1)])
def test_few_points_still_show_the_bow(points, repeats):
    record, truth = bowed(5, points=points, repeats=repeats, cubic=-30.0)
    fit = fit_readout(record)
    q = fit.result.estimates["inl"]
    assert q.ci95[0] <= truth["inl"] <= q.ci95[1]
    assert fit.smooth


def test_one_noisy_channel_is_no_deviation_from_a_smooth_curve():
    record, truth = bowed(6, channels=16, repeats=8)
    code = np.array(record.code)
    code[:, :, 4] += np.rint(20 * np.random.default_rng(6).standard_normal(code.shape[:2]))
    fit = fit_readout(dataclasses.replace(record, code=code))
    assert fit.smooth
    q = fit.result.estimates["inl"]
    assert q.ci95[0] <= truth["inl"] <= q.ci95[1]
