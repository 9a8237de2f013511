"""Figures as inline SVG: valid in a page, and deterministic."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from rramfit.reporting.page.svg import figure_svg
from rramfit.reporting.page.theme import CSS_NAMES, SERIES


def draw(ax):
    ax.plot([0, 1], [1, 3], "o-", color=SERIES[0], label="one")
    ax.fill_between([0, 1], [0, 1], [1, 2], color=SERIES[1], alpha=0.2)
    ax.imshow(np.eye(3), extent=(0, 1, 0, 1), interpolation="none", aspect="auto")
    ax.set_xlabel("conductance [µS]")
    ax.legend()


def render(key: str = "k") -> str:
    return figure_svg(draw, key=key, title="T <1>", description="D & d", size=(3.0, 2.0))[0]


def test_the_svg_is_well_formed_and_has_a_title():
    root = ET.fromstring(render())
    assert root.attrib["viewBox"] == "0 0 216 144"
    assert [e.text for e in root[:2]] == ["T <1>", "D & d"]
    assert root.attrib["aria-labelledby"] == "k-title k-desc"
    texts = {e.text for e in root.iter("text")}
    assert {"conductance [µS]", "one"} <= texts


def test_all_ids_are_used_and_start_with_the_key():
    svg = render("left")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(i.startswith("left-") for i in ids)
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    named = {a or b for a, b in referred} | {"left-title", "left-desc"}
    assert named == set(ids)
    assert not set(ids) & set(re.findall(r' id="([^"]+)"', render("right")))


def test_theme_colours_are_css_variables_and_fonts_are_not_set():
    svg = render()
    assert not [color for color in CSS_NAMES if color in svg]
    assert f"var({CSS_NAMES[SERIES[0]]})" in svg
    assert "font-family" not in svg
    assert "<style" not in svg
    assert "http" not in svg


def test_bytes_do_not_depend_on_user_settings():
    first = render()
    with mpl.rc_context({"font.size": 20.0, "axes.grid": False, "svg.fonttype": "path"}):
        assert render() == first
        assert mpl.rcParams["font.size"] == pytest.approx(20.0)
