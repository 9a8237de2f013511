"""Presets of aihwkit's pulsed devices: their documented update follows the card's course."""

import json
import math

import numpy as np
import pytest

from rramfit.card import load_card
from rramfit.card.blocks.pulses import PulseBranch, PulseCard, course
from rramfit.card.quantity import Quantity
from rramfit.export.networks.aihwkit import EXPORTER
from rramfit.export.networks.aihwkit.pulses import pulse_presets

LOW, HIGH, PULSES = 20e-6, 120e-6, 64
UP, DOWN = 2.5, 1.5


def given(value, unit="S"):
    return Quantity.given(value, unit)


def branch(direction, a):
    start, end = (LOW, HIGH) if direction == "potentiation" else (HIGH, LOW)
    x = np.linspace(0, 1, 41)
    return PulseBranch(
        direction=direction,
        n_devices=20,
        n_branches=100,
        pulses=PULSES,
        form="exponential",
        start=given(start),
        end=given(end),
        step=given((HIGH - LOW) / PULSES),
        nonlinearity=given(a, "1"),
        end_d2d=given(5e-6),
        step_d2d=given(0.2e-6),
        scatter=given(1e-6),
        step_noise=given(0.4e-6),
        knots=[float(v) for v in start + (end - start) * course(x, a)],
    )


def pulses(*branches):
    return PulseCard(
        n_devices=25,
        responding=given(0.8, "1"),
        lowest=given(LOW),
        highest=given(HIGH),
        levels=given(12.0, "1"),
        branches=list(branches),
    )


@pytest.fixture(scope="module")
def card(repo):
    both = pulses(branch("potentiation", UP), branch("depression", DOWN))
    return load_card(repo / "fits/reference-1.0.0.card.json").model_copy(update={"pulses": both})


def test_a_card_without_both_polarities_has_no_presets(repo, card):
    plain = load_card(repo / "fits/reference-1.0.0.card.json")
    assert pulse_presets(plain) is None
    assert "rram_pulses.py" not in EXPORTER.export(plain, EXPORTER.resolve({})).files
    one = card.model_copy(update={"pulses": pulses(branch("potentiation", UP))})
    export = EXPORTER.export(one, EXPORTER.resolve({}))
    assert "rram_pulses.py" not in export.files
    assert any(x.size == "has potentiation" for x in export.missing)


def test_devices_that_do_not_respond_are_corrupt(card):
    for fields in pulse_presets(card).values():
        assert fields["corrupt_devices_prob"] == pytest.approx(0.2)
        assert fields["corrupt_devices_range"] == 1.0
        assert fields["up_down_dtod"] == 0.0


def steps(fields, kind, w, up):
    """The step at `w` by the documentation of aihwkit, without noise and spread."""
    bias = fields["up_down"]
    size = fields["dw_min"] * (1 + min(bias, 0.0) if up else 1 - max(bias, 0.0))
    if kind == "soft_bounds":
        return size * (1 - w / fields["w_max"]) if up else -size * (1 - w / fields["w_min"])
    nodes = fields["piecewise_up" if up else "piecewise_down"]
    at = np.linspace(fields["w_min"], fields["w_max"], len(nodes))
    return (size if up else -size) * np.interp(w, at, nodes)


@pytest.mark.parametrize("kind", ["piecewise", "soft_bounds"])
@pytest.mark.parametrize(("up", "a"), [(True, UP), (False, DOWN)])
def test_pulses_follow_the_course_of_the_card(card, kind, up, a):
    fields = pulse_presets(card)[kind]
    w = [-1.0 if up else 1.0]
    for _ in range(PULSES):
        w.append(w[-1] + steps(fields, kind, w[-1], up))
    expected = (-1 if up else 1) + (2 if up else -2) * course(np.arange(PULSES + 1) / PULSES, a)
    assert np.array(w) == pytest.approx(expected, abs=0.04)


def test_the_noise_of_a_step_is_that_of_the_card(card):
    fields = pulse_presets(card)["piecewise"]
    half_range = (HIGH - LOW) / 2
    assert fields["dw_min"] * fields["dw_min_std"] * half_range == pytest.approx(0.4e-6, rel=0.01)
    assert fields["w_max_dtod"] == pytest.approx(5e-6 / half_range)


def test_aihwkit_takes_the_devices(aihwkit, exported, card):
    script = """
import dataclasses, rram_pulses
from aihwkit.simulator.parameters.enums import RPUDataType
from digits_network import report

found = {}
for name in ("piecewise_device", "soft_bounds_device"):
    device = getattr(rram_pulses, name)()
    device.as_bindings(RPUDataType.FLOAT)
    found[name] = {k: v for k, v in dataclasses.asdict(device).items() if k != "drift"}
config = rram_pulses.rpu_config(rram_pulses.soft_bounds_device())
found["config"] = type(config.device).__name__
report(**found)
"""
    folder = exported(card, "aihwkit")
    found = aihwkit.run(script, folder)
    presets = json.loads((folder / "rram_pulses.json").read_text(encoding="utf-8"))
    assert presets == pulse_presets(card)
    for name, fields in presets.items():
        made = found[f"{name}_device"]
        assert {k: made[k] for k in fields} == fields
    assert found["config"] == "SoftBoundsDevice"
    assert math.isfinite(presets["soft_bounds"]["w_max"])
