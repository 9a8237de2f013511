"""`rramfit doctor` and `rramfit demo`: what a new installation can say and do."""

import json
from importlib import metadata

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from rramfit_cli.main import cli


@pytest.fixture
def run():
    return lambda *args: CliRunner().invoke(cli, args)


def test_doctor_names_versions_threads_and_devices(run):
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["rramfit"].startswith(metadata.version("rramfit"))
    assert facts["torch"] == metadata.version("torch")
    assert any(name.startswith("blas ") for name in facts)
    assert {"Python", "system", "processors", "CUDA devices", "HDF5"} <= set(facts)


def test_doctor_says_what_a_missing_extra_is_for(run, monkeypatch):
    found = metadata.version

    def without_pyarrow(name):
        if name == "pyarrow":
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", without_pyarrow)
    text = run("doctor").stdout
    assert "missing: pip install 'rramfit[parquet]' for logs in Parquet and Feather" in text


def test_demo_makes_the_reference_measurement_and_its_card(run, repo, tmp_path):
    done = run("demo", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"reference.{end}" for end in ("card.json", "cells.h5", "h5", "report.html")]
    with h5py.File(tmp_path / "out/reference.h5") as a, h5py.File(repo / "data/reference.h5") as b:
        for name in ("program/conductance", "mvm/code", "retention/conductance"):
            if name in b:
                np.testing.assert_allclose(a[name], b[name], rtol=1e-5)


def test_demo_writes_over_nothing_that_it_did_not_write(run, tmp_path):
    (tmp_path / "reference.h5").write_text("mine")
    done = run("demo", "-o", str(tmp_path))
    assert done.exit_code != 0
    assert (tmp_path / "reference.h5").read_text() == "mine"
