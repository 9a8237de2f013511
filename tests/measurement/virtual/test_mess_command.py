"""Mess on the command line: a switch for every kind, and what a wrong one says."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.card.canonical import save_card
from rramfit.measurement import Mess, read_measurement, synthesize, virtual_card
from rramfit.measurement.virtual.group_cards import with_groups
from rramfit_cli.commands import synthesize as command
from rramfit_cli.main import cli

CARD = with_groups(virtual_card("mess", mean=[30e-6, 150e-6], spread=0.1, array=(16, 16)), 3)


def test_the_command_has_a_switch_for_every_kind(tmp_path):
    assert [name.replace("-", "_") for name in command._MESS] == [
        f.name for f in dataclasses.fields(Mess)
    ]
    save_card(CARD, tmp_path / "c.card.json")
    arguments = ["measurement", "synthesize", str(tmp_path / "c.card.json"), "--json"]
    arguments += ["-o", str(tmp_path / "chip.h5"), "--sweeps", "4", "--seed", "5"]
    chosen = ["--mess", "row-offsets=0.5", "--mess", "telegraph=0.1", "--group", "endurance"]
    done = CliRunner().invoke(cli, [*arguments, *chosen, "--group", "program"])
    assert done.exit_code == 0, done.output
    m = read_measurement(tmp_path / "chip.h5")
    assert json.loads(done.stdout)["truth"]["mess"] == {"row_offsets": 0.5, "telegraph": 0.1}
    groups = ("program", "endurance")
    mess = Mess(row_offsets=0.5, telegraph=0.1)
    again = synthesize(CARD, sweeps=4, seed=5, groups=groups, mess=mess)
    np.testing.assert_array_equal(
        m.program.read_all().conductance, again.program.read_all().conductance
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("corners=0.1", "'corners' is not a kind of mess. Choose from moving-stuck"),
        ("corner", "corner has no size. Add one, such as corner=0.05"),
        ("corner=much", "'much' is not a valid"),
        ("corner=1", "mess corner has size 1; it must be at least 0 and below 1"),
    ],
)
def test_a_wrong_switch_is_a_usage_error(tmp_path, given, message):
    save_card(CARD, tmp_path / "c.card.json")
    arguments = ["measurement", "synthesize", str(tmp_path / "c.card.json")]
    done = CliRunner().invoke(cli, [*arguments, "-o", str(tmp_path / "x.h5"), "--mess", given])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
