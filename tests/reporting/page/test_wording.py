"""Numbers have the digits that their intervals justify, in reports and in plain text."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

import rramfit
import rramfit_cli
from rramfit.card import Quantity
from rramfit.reporting.page.wording import format_quantity_parts, interval_text, with_interval
from rramfit.units import format_estimate, format_number, format_quantity


@pytest.mark.parametrize(
    ("value", "interval", "unit", "expected"),
    [
        (1.57707, (1.57566, 1.57848), "1", "1.577 (1.576–1.578)"),
        (1.25783, (1.2148, 1.3009), "1/V", "1.26 1/V (1.21–1.30)"),
        (33.32e-6, (32.52e-6, 34.38e-6), "S", "33.3 uS (32.5–34.4)"),
        (-18.1e-9, (-20.5e-9, -15.7e-9), "S", "-18.1 nS (-20.5 to -15.7)"),
        (8.224, (5.739, 10.709), "ohm", "8.2 ohm (5.7–10.7)"),
        (160095.0, (159810.0, 160380.0), "LSB/A", "160100 LSB/A (159800–160400)"),
        (307.8e-6, (296.5e-6, 321.9e-6), "S", "308 uS (296–322)"),
        (0.35, (0.228, 0.496), "1", "0.35 (0.23–0.50)"),
        (0.0, (0.0, 0.03), "1", "0.00 (0.00–0.03)"),
        (9.5e-5, None, "S", "95 uS"),
    ],
)
def test_the_half_width_of_the_interval_sets_the_decimals(value, interval, unit, expected):
    assert format_estimate(value, interval, unit) == expected


def test_shares_are_given_in_per_cent():
    assert format_estimate(0.00781, (0.00084, 0.0359), "1", percent=True) == "0.8 % (0.1–3.6)"


def test_large_numbers_have_no_exponent():
    assert format_number(110.0, 2) == "110"
    assert format_quantity(270e-9, "S", digits=2) == "270 nS"
    assert format_quantity(160095.0, "LSB/A") == "160100 LSB/A"


@pytest.mark.parametrize("exponent", range(-14, 9))
@pytest.mark.parametrize("relative", [1e-5, 3e-3, 0.09, 0.7])
def test_a_rounded_interval_still_contains_the_value(exponent, relative):
    value = 3.7193 * 10.0**exponent
    q = Quantity.estimated(value, relative * value, "S", scale="log")
    text = format_estimate(q.value, q.ci95, q.unit)
    numbers = [float(x) for x in re.findall(r"[\d.]+(?:e[+-]\d+)?", text)]
    assert numbers[1] < numbers[0] < numbers[2]


def test_reports_use_symbols_and_the_same_digits():
    q = Quantity.within(-18.1e-9, 1.2e-9, "S", (-20.5e-9, -15.7e-9))
    parts = format_quantity_parts(q)
    assert parts.value_with_unit == "−18.1\N{NO-BREAK SPACE}nS"
    assert (parts.interval, parts.stderr) == ("−20.5 to −15.7", "1.2")
    slope = Quantity.within(1.25783, 0.022, "1/V", (1.2148, 1.3009))
    assert with_interval(slope) == "1.26\N{NO-BREAK SPACE}V⁻¹ (1.21–1.30)"
    assert format_quantity_parts(Quantity.given(86_400.0, "s")).value_with_unit == (
        "24\N{NO-BREAK SPACE}h"
    )
    assert interval_text(14.9, 15.1, unit="%") == "15\N{NO-BREAK SPACE}%"


def test_every_percent_sign_that_people_read_follows_a_space():
    found = []
    for package in (rramfit, rramfit_cli):
        for path in Path(package.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FormattedValue):
                    spec = ast.unparse(node.format_spec) if node.format_spec else ""
                    bare = spec.rstrip("'\"").endswith("%")
                else:
                    text = node.value if isinstance(node, ast.Constant) else ""
                    bare = (
                        isinstance(text, str)
                        and re.search(r"(?<!\\xa0)(?<=\d)%(?!\w)", text) is not None
                    )
                if bare:
                    found.append(f"{path}:{node.lineno}")
                if isinstance(node, ast.JoinedStr):
                    found += [
                        f"{path}:{node.lineno}"
                        for a, b in itertools.pairwise(node.values)
                        if isinstance(a, ast.FormattedValue)
                        and ast.unparse(a.value) != "_NO_BREAK"
                        and isinstance(b, ast.Constant)
                        and str(b.value).startswith("%")
                    ]
    assert found == []
