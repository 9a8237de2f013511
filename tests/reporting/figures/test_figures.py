"""Figures show the right values at the right places."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from scipy import stats

import rramfit.reporting
from rramfit.card import Quantity
from rramfit.card.cells import Fault
from rramfit.card.schema import Distribution, LevelCard
from rramfit.reporting.figures.levels import draw_level_cdfs, draw_level_ladder, level_axis
from rramfit.reporting.figures.maps import draw_conductance_map, draw_fault_map
from rramfit.reporting.page.theme import CSS_NAMES, PAPER, level_colors

CSS = (Path(rramfit.reporting.page.__file__).parent / "templates" / "report.css").read_text()


@pytest.fixture
def ax():
    return matplotlib.figure.Figure(figsize=(4, 3)).add_subplot()


def normal_level(k: int, mean: float, std: float) -> LevelCard:
    return LevelCard(
        index=k,
        name=f"L{k}",
        n_cells=1,
        n_observations=1,
        mean=Quantity.given(mean, "S"),
        std=Quantity.given(std, "S"),
        target=Quantity.given(mean, "S"),
        distribution=Distribution(
            family="normal",
            parameters={"loc": Quantity.given(mean, "S"), "scale": Quantity.given(std, "S")},
        ),
    )


def test_the_probability_plot_agrees_with_scipy_and_a_normal_distribution_is_straight(ax):
    values = np.sort(stats.norm(50e-6, 2e-6).rvs(2000, random_state=3))
    draw_level_cdfs(ax, {0: values}, {0: normal_level(0, 50e-6, 2e-6)})
    points, distribution = ax.lines
    z, g = points.get_ydata(), points.get_xdata()
    assert (g[0], g[-1]) == pytest.approx((1e6 * values[0], 1e6 * values[-1]))
    n = values.size
    at = np.searchsorted(values, np.array(g) * 1e-6 * (1 - 1e-12))
    np.testing.assert_allclose(stats.norm.cdf(z), (at + 0.5) / n, atol=0.5 / n)
    np.testing.assert_allclose(
        distribution.get_xdata(), 50 + 2 * np.array(distribution.get_ydata())
    )


def test_levels_over_decades_have_a_logarithmic_axis():
    wide = {0: np.linspace(1e-6, 2e-6, 100), 1: np.linspace(90e-6, 110e-6, 100)}
    narrow = {0: np.linspace(10e-6, 20e-6, 100), 1: wide[1]}
    negative = {0: np.linspace(-1e-6, 1e-6, 100), 1: wide[1]}
    assert [level_axis(x)[2] for x in (wide, narrow, negative)] == [True, False, False]


def test_means_are_drawn_at_their_targets(ax):
    draw_level_ladder(ax, [normal_level(k, 10e-6 * (k + 1), 1e-6) for k in range(3)], {1: 5e-6})
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [float(d.get_xdata()[0]) for d in dots] == pytest.approx([10, 20, 30])
    assert [float(d.get_ydata()[0]) for d in dots] == pytest.approx([10, 20, 30])
    cross = next(line for line in ax.lines if line.get_marker() == "x")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == pytest.approx((20, 5))


def test_row_0_is_at_the_top_and_column_0_at_the_left(ax):
    values = np.zeros((6, 4))
    values[0, 0] = 1e-4
    draw_conductance_map(ax, values)
    top_left = ax.transAxes.transform((0, 1))
    cell = ax.transData.transform((0, 0))
    far = ax.transData.transform((3, 5))
    assert cell[0] < far[0]
    assert cell[1] > far[1]
    assert np.linalg.norm(cell - top_left) < np.linalg.norm(far - top_left)
    assert ax.images[0].get_array()[0, 0] == pytest.approx(100)


def test_large_maps_are_shown_in_blocks_and_keep_all_faults(ax):
    fault = np.zeros((1000, 300), dtype=np.int8)
    fault[999, 299] = Fault.STUCK_HIGH
    draw_fault_map(ax, fault)
    image = ax.images[0].get_array()
    assert image.shape[:2] == (250, 150)
    assert image[-1, -1, 3] == 1
    assert image[..., 3].sum() == 1


def test_few_levels_have_distinct_colours_and_many_a_scale():
    assert len(set(level_colors(6))) == 6
    many = level_colors(52)
    assert len(many) == 52
    changes = [a for a, b in itertools.pairwise(many) if a != b]
    assert len(changes) + 1 == len(set(many))


def css_colors(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--fig-[\w-]+): (#[0-9a-f]{3,6})", block))


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    rgb = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_figure_colour_is_defined_with_enough_contrast(scheme):
    light, rest = CSS.split("@media (prefers-color-scheme: dark)")
    dark, paper = rest.split("@media print")
    colors = css_colors({"light": light, "dark": dark, "print": paper}[scheme])
    assert set(colors) == set(CSS_NAMES.values())
    page = luminance(colors[CSS_NAMES[PAPER]])
    for name, color in colors.items():
        if name in ("--fig-paper", "--fig-grid"):
            continue
        low, high = sorted((luminance(color), page))
        needed = 4.5 if name == "--fig-ink" else 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
        assert (high + 0.05) / (low + 0.05) >= needed, name
