"""A small virtual chip in a file, and a runner for commands in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.virtual.cards import random_card
from rramfit_cli.main import cli


@pytest.fixture(scope="session")
def small_chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 24 × 20 cells, 2 levels, 8 sweeps."""
    path = tmp_path_factory.mktemp("chip") / "small.h5"
    card = random_card(5, levels=2, array=(24, 20))
    write_measurement(synthesize(card, sweeps=8, seed=2), path)
    return path


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run `rramfit ARGUMENTS…`."""

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments])

    return invoke
