"""Read-noise fits of simulated noise with known size, spectrum and two-state cells."""

import math

import numpy as np
import pytest

from rramfit.errors import FitError
from rramfit.fitting.statistics.spectrum import fit_spectrum
from rramfit.fitting.time.read_noise import fit_read_noise
from rramfit.fitting.time.telegraph import find_telegraph
from rramfit.measurement.file.in_memory import reads_in_memory

COEFFICIENT, EXPONENT, REFERENCE = 0.02, -0.6, 40e-6


def record(y, level=None, times=None):
    level = np.zeros(y.shape[1:], dtype=np.int64) if level is None else level
    times = np.arange(1.0, len(y) + 1) if times is None else times
    return reads_in_memory(y, time=times, level=level, read_voltage=0.2, temperature=300.0)


def noisy(seed, *, n=12, side=24, df=None):
    """Simulate cells of three levels with power-law noise; Student's t where df is given."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 3, (side, side))
    g = 15e-6 * 2.2**level * np.exp(0.05 * rng.standard_normal((side, side)))
    std = COEFFICIENT * (g / REFERENCE) ** EXPONENT * g
    shape = (n, side, side)
    e = rng.standard_normal(shape)
    if df is not None:
        e = rng.standard_t(df, shape) / math.sqrt(df / (df - 2))
    return record(g + std * e, level), g


def coloured(rng, cells, n, gamma, white=0.0):
    """Simulate S ∝ f^−γ at unit variance plus white noise, cut from a series 8 times as long."""
    f = np.fft.rfftfreq(8 * n)
    f[0] = f[1]
    z = rng.standard_normal((cells, len(f))) + 1j * rng.standard_normal((cells, len(f)))
    y = np.fft.irfft(z * f ** (-gamma / 2), n=8 * n)[:, :n]
    return y / y.std() + white * rng.standard_normal((cells, n))


@pytest.mark.parametrize("df", [None, 8])
def test_recovers_the_power_law_and_its_errors(df):
    """Mean z is within 4/√n of 0 and its rms near 1 (χ² of 40 at 1e-4: 0.6 to 1.45)."""
    z = {"coefficient": [], "exponent": [], "L1 read": []}
    for seed in range(40):
        reads, g = noisy(seed, df=df)
        fit = fit_read_noise(reads)
        at = fit.reference_conductance
        of = reads.level == 1
        truth = {
            "coefficient": COEFFICIENT * (at / REFERENCE) ** EXPONENT,
            "exponent": EXPONENT,
            "L1 read": math.sqrt(
                np.mean((COEFFICIENT * (g[of] / REFERENCE) ** EXPONENT * g[of]) ** 2)
            ),
        }
        for name, true in truth.items():
            q = fit.result.estimates[name]
            z[name].append((q.value - true) / q.stderr)
    for name, values in z.items():
        # The power law uses g from the noisy mean: a bias of the order of noise²/12 reads.
        assert abs(np.mean(values)) < 4 / math.sqrt(40) + 0.2, name
        assert 0.6 < np.std(values) < 1.45, name


@pytest.mark.parametrize(("gamma", "white"), [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (1.6, 0.1)])
def test_recovers_the_spectral_exponent(gamma, white):
    z, bias = [], []
    for seed in range(20):
        fit = fit_spectrum(coloured(np.random.default_rng(seed), 60, 256, gamma, white))
        z.append((fit.exponent - gamma) / fit.stderr)
        bias.append(fit.exponent - gamma)
    # A finite window biases a steep spectrum by a few hundredths; the rest must be chance.
    assert abs(np.mean(bias)) < 0.03 + 4 * np.std(bias) / math.sqrt(20)
    assert 0.45 < np.std(z) < 1.7  # χ² of 20 at 1e-4


def test_finds_two_state_cells_and_few_others():
    rng = np.random.default_rng(1)
    cells, n, two = 1500, 128, 300
    y = rng.standard_normal((cells, n))
    switched = (np.cumsum(rng.random((two, n)) < 0.1, axis=1) + rng.integers(0, 2, (two, 1))) % 2
    y[:two] += 6 * switched
    really = (switched.mean(axis=1) > 0.05) & (switched.mean(axis=1) < 0.95)
    found = find_telegraph(y, np.random.default_rng(2))
    assert found.two_state[:two][really].mean() > 0.97
    # Binomial of 1200 at 0.2 %: more than 10 has a chance under 1e-4.
    assert found.two_state[two:].sum() <= 10
    low, high = found.share.ci95
    assert low <= really.sum() / cells <= high + 0.01
    assert np.median(found.amplitude[found.two_state]) == pytest.approx(6, abs=0.5)


def test_slow_noise_of_one_state_is_not_reported_as_two_states():
    found = find_telegraph(
        coloured(np.random.default_rng(3), 1500, 128, 1.0), np.random.default_rng(4)
    )
    assert found.two_state.sum() <= 12


def test_quantised_reads_are_not_reported_as_two_states():
    y = np.rint(0.5 * np.random.default_rng(5).standard_normal((200, 64)))
    assert find_telegraph(y, np.random.default_rng(6)) is None


def test_full_fit_returns_spectrum_and_telegraph_share():
    rng = np.random.default_rng(7)
    side, n = 20, 128
    g = rng.uniform(20e-6, 80e-6, (side, side))
    noise = coloured(rng, side * side, n, 1.0).T.reshape(n, side, side)
    fit = fit_read_noise(record(g + 0.01 * g * noise))
    q = fit.result.estimates["spectral_exponent"]
    assert q.value == pytest.approx(1.0, abs=4 * q.stderr + 0.03)
    assert fit.result["exponent"] == pytest.approx(
        0.0, abs=4 * fit.result.estimates["exponent"].stderr
    )
    card = fit.to_card()
    assert card.telegraph_share.ci95[0] < 0.02
    assert any("low frequencies" in f.what for f in fit.verdict.findings)
    assert "uS" in fit.plot().get_xlabel()
    again = fit_read_noise(record(g + 0.01 * g * noise))
    assert again.to_card() == card


def test_findings_name_what_the_data_do_not_determine():
    rng = np.random.default_rng(8)
    y = 50e-6 * (1 + 0.01 * rng.standard_normal((8, 10, 10)))
    fit = fit_read_noise(record(y))
    findings = " ".join(f.what for f in fit.verdict.findings)
    remedies = " ".join(f.remedy for f in fit.verdict.findings)
    assert "8 reads are too few to fit the noise spectrum" in findings
    assert "at least 64 reads" in remedies
    assert "8 reads are too few to detect random telegraph noise" in findings
    assert "too little to determine the dependence of read noise on conductance" in findings
    assert "exponent" not in fit.result.estimates
    q = fit.result.estimates["coefficient"]
    assert q.value == pytest.approx(0.01, abs=4 * q.stderr)
    gaps = np.where(rng.random(y.shape) < 0.5, np.nan, y)
    assert fit_read_noise(record(gaps)).result["coefficient"] == pytest.approx(0.01, rel=0.2)
    with pytest.raises(FitError, match="0 cells were read at least twice"):
        fit_read_noise(record(y[:1]))


def test_identical_reads_raise_an_error():
    with pytest.raises(FitError, match="below the step of the converter"):
        fit_read_noise(record(np.full((8, 10, 10), 50e-6)))


def test_cells_below_zero_are_not_reported_as_noiseless():
    rng = np.random.default_rng(9)
    fit = fit_read_noise(record(-50e-6 + 1e-6 * rng.standard_normal((8, 10, 10))))
    findings = [f.what for f in fit.verdict.findings]
    assert any("100 of 100 cells read 0 S or less" in what for what in findings)
    assert not any("do not differ" in what for what in findings)


def test_a_single_cell_has_a_noise_coefficient_without_an_error():
    y = 50e-6 * (1 + 0.02 * np.random.default_rng(9).standard_normal((4000, 1, 1)))
    fit = fit_read_noise(record(y))
    assert any("Only 1 cell was read" in f.what for f in fit.verdict.findings)
    assert not any(f.severe for f in fit.verdict.findings)
    q = fit.to_card().coefficient
    assert q.value == pytest.approx(y.std(ddof=1) / y.mean(), rel=1e-9)
    assert q.stderr is None
    assert "exponent" not in fit.result.estimates
