"""The data of a figure: what the script of the page shows on hover and saves as CSV."""

import base64
import gzip
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rramfit.reporting.page.figure_data import figure_data


def data_of(draw, size=(4.0, 3.0)):
    ax = Figure(figsize=size).add_axes((0.1, 0.2, 0.8, 0.7))
    draw(ax)
    return json.loads(figure_data(ax))


def codes_of(found):
    raw = gzip.decompress(base64.b64decode(found["codes"]))
    return np.frombuffer(raw, "<u2").reshape(found["rows"], found["cols"])


def test_lines_points_bars_and_sticks_are_series():
    def draw(ax):
        ax.plot([1, 2, np.nan], [3, 4, 5], label="line")
        ax.scatter([1.0], [2.0])
        ax.vlines([7, 8], 0, [1, 2])
        ax.bar([4], [5])
        ax.axhline(9)  # a guide, not data
        ax.set_xlabel("x </script>")

    found = data_of(draw)
    assert found["series"] == [
        {"name": "line", "x": [1, 2], "y": [3, 4]},
        {"name": "", "x": [1], "y": [2]},
        {"name": "", "x": [7, 8], "y": [1, 2]},
        {"name": "bars", "x": [4], "y": [5]},
    ]
    assert found["box"] == pytest.approx([28.8, 259.2, 21.6, 172.8])  # from the top, in points


def test_the_text_cannot_end_its_element():
    ax = Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    ax.set_xlabel("</script><script>")
    assert "<" not in figure_data(ax)


def test_a_map_keeps_its_values_and_its_gaps():
    values = np.array([[1.0, 2.0, 3.5], [np.nan, -4.0, 0.0]])
    found = data_of(lambda ax: ax.imshow(values, extent=(-0.5, 2.5, 1.5, -0.5)))["map"]
    codes = codes_of(found)
    back = found["low"] + (found["high"] - found["low"]) * codes / 65534
    np.testing.assert_array_equal(codes == 65535, np.isnan(values))
    np.testing.assert_allclose(back[codes < 65535], values[np.isfinite(values)], atol=1e-4)
    assert found["extent"] == [-0.5, 2.5, -0.5, 1.5]


def test_colours_of_a_map_have_the_names_of_the_legend():
    def draw(ax):
        colours = np.zeros((2, 2, 4))
        colours[0, 1] = (1, 0, 0, 1)
        ax.imshow(colours)
        ax.legend(handles=[Patch(color="#ff0000", label="stuck high (1)")])

    found = data_of(draw)["map"]
    names = np.array(found["names"])[codes_of(found)]
    assert names.tolist() == [["", "stuck high"], ["", ""]]


def test_a_map_without_a_value_and_an_empty_figure():
    assert data_of(lambda ax: ax.imshow(np.full((2, 2), np.nan)))["map"]["low"] == 0
    assert data_of(lambda _: None)["series"] == []
