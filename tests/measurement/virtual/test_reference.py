"""The committed reference measurement: its origin, layout and checksum."""

import hashlib
import shlex

import numpy as np
from click.testing import CliRunner

from rramfit.card.document import load_card
from rramfit.measurement import read_measurement, validate_layout
from rramfit_cli.main import cli


def readme_command(repo):
    """Return the arguments of the command in data/README.md that generates the file."""
    text = (repo / "data/README.md").read_text(encoding="utf-8")
    at = text.index("rramfit measurement synthesize")
    return shlex.split(text[at : text.index("\n\n", at)].replace("\\\n", " "))[1:]


def test_the_command_in_the_readme_generates_the_file(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(repo)
    arguments = readme_command(repo)
    generated = tmp_path / "again.h5"
    arguments[arguments.index("-o") + 1] = str(generated)
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    a, b = read_measurement(generated), read_measurement(repo / "data/reference.h5")
    assert a.identity == b.identity
    one, two = a.program.read_all(), b.program.read_all()
    np.testing.assert_array_equal(one.level, two.level)
    np.testing.assert_array_equal(one.accepted, two.accepted)
    # Another processor may round the last bit of a float32 differently.
    for x, y in (
        (one.conductance, two.conductance),
        (a.reads.read_all(), b.reads.read_all()),
        (a.retention.read_all(), b.retention.read_all()),
    ):
        np.testing.assert_allclose(x, y, rtol=2e-7, atol=0)
    np.testing.assert_allclose(a.mvm.current, b.mvm.current, rtol=1e-9)
    np.testing.assert_allclose(a.iv.current, b.iv.current, rtol=1e-9, atol=1e-20)
    assert (a.readout.code != b.readout.code).mean() < 1e-4  # rounding may change a code


def test_it_is_valid_and_marked_as_synthetic(repo):
    path = repo / "data/reference.h5"
    assert not [p for p in validate_layout(path) if not p.note]
    assert path.stat().st_size < 3.5e6
    m = read_measurement(path)
    assert m.identity.synthetic
    card = load_card(repo / "fits/virtual-1.0.0.card.json")
    assert m.truth["made_from"]["digest"] == card.digest
    assert (m.program.shape, len(m.levels)) == ((24, 128, 128), 3)


def test_its_checksum_is_listed(repo):
    listed = (repo / "data/CHECKSUMS.sha256").read_text(encoding="utf-8").split()
    digest = hashlib.sha256((repo / "data/reference.h5").read_bytes()).hexdigest()
    assert listed == [digest, "reference.h5"]
