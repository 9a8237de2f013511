"""The programs that cards are exported to, where they are installed.

`tests/studies/export_targets/programs.py` tells where they are looked for. Their tests are skipped
without them. Continuous integration has no CrossSim, aihwkit or XBTorch, and deselects their tests;
those of aihwkit-lightning always run there: it is small, and belongs to the group `test`.
"""

import os
import sys
from pathlib import Path

import pytest

from rramfit.export import export_card

TARGETS = Path(__file__).resolve().parent.parent / "studies/export_targets"
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")

sys.path.insert(0, str(TARGETS))
try:
    import digits_network
    import ours
    import programs
finally:
    sys.path.remove(str(TARGETS))


def pytest_collection_modifyitems(config, items):
    if not IN_CI:
        return
    missing = {
        name for name in ("crosssim", "aihwkit", "xbtorch") if programs.place_of(name) is None
    }
    left_out = [x for x in items if missing & set(getattr(x, "fixturenames", ()))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [x for x in items if x not in left_out]


class Program:
    """A program that runs the files of an export in a separate process."""

    def __init__(self, name):
        self.place = programs.place_of(name)
        if self.place is None:
            variable, module = programs.PROGRAMS[name]
            pytest.skip(f"{name} is missing: set {variable} to the folder of its package {module}")

    def run(self, script, folder, *arguments):
        """Run a Python file, or a text, in `folder`; return what it reported."""
        return programs.run(self.place, script, folder, *arguments)


@pytest.fixture(scope="session")
def crosssim():
    return Program("crosssim")


@pytest.fixture(scope="session")
def aihwkit():
    return Program("aihwkit")


@pytest.fixture(scope="session")
def lightning():
    return Program("lightning")


@pytest.fixture(scope="session")
def xbtorch():
    return Program("xbtorch")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Export a card to a target; return the folder."""

    def export(card, target, **options):
        folder = tmp_path_factory.mktemp(target) / "out"
        export_card(card, target, folder, options)
        return folder

    return export


@pytest.fixture(scope="session")
def study():
    """The modules of the study that compares the targets."""
    return digits_network, ours


@pytest.fixture(scope="session")
def network(tmp_path_factory, repo):
    """The digits network on the levels of the reference card: its file, and its arrays."""
    from rramfit.card import load_card

    path = tmp_path_factory.mktemp("network") / "network.npz"
    return path, ours.make_network(load_card(repo / "fits/reference-1.0.0.card.json"), path)
