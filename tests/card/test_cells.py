"""The sidecar is read back as it was written, to the same bytes each time."""

import h5py
import numpy as np
import pytest

from rramfit.card import CellMaps, Fault, cells_bytes, load_cells, save_cells
from rramfit.errors import CardError


@pytest.fixture
def maps() -> CellMaps:
    rng = np.random.default_rng(1)
    fault = rng.choice([x.value for x in Fault], size=(6, 5)).astype(np.int8)
    offset = rng.normal(0, 1e-6, (3, 6, 5)).astype(np.float32).astype(float)
    offset[0, 0, 0] = np.nan
    stuck = np.where((fault == 1) | (fault == 2), np.float32(3e-6), np.nan).astype(float)
    return CellMaps(
        fault=fault, offset=offset, hard_posterior=np.zeros((3, 6, 5)), stuck_conductance=stuck
    )


def test_round_trip(maps, tmp_path):
    save_cells(maps, tmp_path / "a.cells.h5")
    back = load_cells(tmp_path / "a.cells.h5")
    np.testing.assert_array_equal(back.fault, maps.fault)
    np.testing.assert_array_equal(back.offset, maps.offset)
    np.testing.assert_array_equal(back.hard_posterior, maps.hard_posterior)
    np.testing.assert_array_equal(back.stuck_conductance, maps.stuck_conductance)
    assert back.certainty is None


def test_same_maps_same_bytes(maps, tmp_path):
    save_cells(maps, tmp_path / "a.cells.h5")
    assert (tmp_path / "a.cells.h5").read_bytes() == cells_bytes(maps)


def test_an_array_without_levels_has_a_sidecar_too(tmp_path):
    nothing = np.empty((0, 2, 2))
    faults = CellMaps(fault=np.zeros((2, 2), np.int8), offset=nothing, hard_posterior=nothing)
    save_cells(faults, tmp_path / "a.cells.h5")
    assert load_cells(tmp_path / "a.cells.h5").offset.shape == (0, 2, 2)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "a.cells.h5"
    with h5py.File(path, "w") as f:
        f.attrs["format"] = "rramfit-measurement"
    with pytest.raises(CardError, match=r"expected rramfit-cells 1\.0"):
        load_cells(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(CardError, match="sidecar"):
        load_cells(path)


def test_maps_of_different_arrays_do_not_go_together():
    with pytest.raises(ValueError, match="one array"):
        CellMaps(
            fault=np.zeros((2, 2), np.int8),
            offset=np.zeros((1, 3, 2)),
            hard_posterior=np.zeros((1, 3, 2)),
        )
