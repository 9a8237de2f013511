"""Findings about lines, and about levels on a part of the array."""

import numpy as np
import pytest
from scipy import ndimage

from rramfit.fitting.variation.line_findings import find_outliers, line_findings
from rramfit.fitting.variation.one_level import fit_level_variation
from rramfit.fitting.variation.part_of_array import find_parts
from rramfit.measurement.file.record import Levels

N = 48
ROW, COL = np.indices((N, N))


def fitted(make_measured, offsets, *, seed=0, used=None, centres=(50.0,), log=False):
    """Fit levels of d2d 3 uS (or 30 %) and c2c 1.5 uS with offsets (row, col), two sweeps each."""
    rng = np.random.default_rng(seed)
    own = 3 * rng.standard_normal((N, N)) + offsets
    y = np.concatenate([c + own + 1.5 * rng.standard_normal((2, N, N)) for c in centres])
    if log:
        y = 50 * np.exp((y - 50) / 10)
    level = np.repeat(np.arange(len(centres)), 2)[:, None, None] + np.zeros((N, N), dtype=int)
    if used is not None:
        level = np.where(used, level, -1)
    levels = Levels(target=np.array(centres) * 1e-6)
    _, statistics = make_measured(y * 1e-6, level=level, levels=levels)
    everywhere = np.ones((N, N), dtype=bool)
    return [
        fit_level_variation(statistics, everywhere, k, domain="log" if log else "linear")
        for k in range(len(centres))
    ]


def smooth(seed):
    field = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((N, N)), 5, mode="wrap"
    )
    return 3 * field / field.std()


def lines(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, 1)) + rng.standard_normal(N)


@pytest.mark.parametrize(
    "offsets",
    [lambda _: 0 * ROW, smooth, lines, lambda _: 0.1 * ROW],
    ids=["none", "smooth", "lines", "trend"],
)
def test_arrays_without_outlying_lines_have_no_findings(make_measured, offsets):
    chips = 30
    false = sum(
        bool(line_findings(fitted(make_measured, offsets(100 + s), seed=s))) for s in range(chips)
    )
    assert false <= 3  # of 30 at 1 %: P(more) = 2e-4


@pytest.mark.parametrize("used", [None, COL % 2 == 1, (ROW + COL) % 2 == 0], ids=str)
def test_one_column_that_stands_apart_is_named(make_measured, used):
    offsets = np.where(COL == 17, 4.0, 0.0)
    (finding,) = line_findings(fitted(make_measured, offsets, used=used))
    assert finding.what.startswith("Column 17 (+")
    amount = float(finding.what.split("+")[1].split(" uS")[0])
    assert amount == pytest.approx(4.0, abs=1.6)
    assert "at level 0" in finding.what
    assert finding.affected == pytest.approx(1 / N)


def test_a_row_that_stands_apart_at_two_levels_is_one_finding(make_measured):
    offsets = np.where(ROW == 5, -4.0, 0.0) + np.where(ROW == 40, 4.5, 0.0)
    (finding,) = line_findings(fitted(make_measured, offsets, centres=(50.0, 90.0), seed=1))
    assert finding.what.startswith("Rows ")
    assert "5 (-" in finding.what
    assert "40 (+" in finding.what


def test_an_outlier_among_line_offsets_must_exceed_their_spread(make_measured):
    found = [
        line_findings(fitted(make_measured, lines(s) + np.where(COL == 17, 1.5, 0), seed=s))
        for s in range(8)
    ]
    assert sum(map(bool, found)) <= 1
    large = line_findings(fitted(make_measured, lines(0) + np.where(COL == 17, 9.0, 0)))
    assert large[0].what.startswith("Column 17")


def test_logarithmic_levels_deviate_by_per_cent(make_measured):
    (v,) = fitted(make_measured, np.where(COL == 17, 5.0, 0.0), log=True)
    assert v.domain == "log"
    (finding,) = line_findings([v])
    amount = float(finding.what.split("(+")[1].split("%")[0])
    assert amount == pytest.approx(100 * np.expm1(0.5), abs=25)


def test_a_pattern_over_whole_lines_makes_no_outliers(make_measured):
    for period in (4, 8, 16):
        offsets = np.where(ROW % period == 3, 2.0, 0.0)
        assert line_findings(fitted(make_measured, offsets, seed=period)) == []


def test_offsets_that_repeat_within_columns_are_one_finding(make_measured):
    fold = 2 * np.random.default_rng(1).standard_normal((4, N))
    levels = fitted(make_measured, fold[np.arange(N) % 4], centres=(50.0, 90.0))
    (finding,) = line_findings(levels)
    assert "repeat every 4 rows of a column" in finding.what
    assert "at level 0" in finding.what
    assert "at level 1" in finding.what
    row, col = np.unravel_index(np.argmax(np.abs(fold)), fold.shape)
    assert f"in column {col}, rows {row} + 4·i" in finding.what
    amount = float(finding.what.split("the largest is ")[1].split(" uS")[0])
    assert amount == pytest.approx(fold[row, col], rel=0.3)
    assert "sense amplifier" in finding.remedy


def test_the_outlier_test_is_rosners():
    # Rosner (1983), as in NIST/SEMATECH e-Handbook, section 1.3.5.17.3: three outliers of 54
    values = np.array(
        [
            -0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56,
            1.58, 1.65, 1.69, 1.70, 1.76, 1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10,
            2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40, 2.47, 2.54, 2.62, 2.64, 2.90, 2.92,
            2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01,
        ]
    )  # fmt: skip
    assert values[find_outliers(values, 0.05)].tolist() == [6.01, 5.42, 5.34]


def test_a_level_on_a_part_of_an_array_with_a_trend_is_reported(make_measured):
    everywhere = np.ones((N, N), dtype=bool)
    offsets = 0.2 * (ROW - (N - 1) / 2)
    (whole,) = fitted(make_measured, offsets)
    assert find_parts([whole], everywhere) == []
    (part,) = fitted(make_measured, offsets, used=ROW < 16)
    (finding,) = find_parts([part], everywhere)
    assert finding.what.startswith("The cells of level 0 are not spread evenly over the array")
    higher = float(finding.what.split("its mean would be ")[1].split(" uS higher")[0])
    assert higher == pytest.approx(0.2 * 16, rel=0.2)
    (flat,) = fitted(make_measured, 0 * offsets, used=ROW < 16)
    assert find_parts([flat], everywhere) == []
