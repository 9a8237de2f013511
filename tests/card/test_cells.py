"""The sidecar survives a round trip, and the same maps give the same bytes."""

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
        fault=fault,
        offset=offset,
        hard_posterior=np.zeros((3, 6, 5)),
        offset_stderr=np.abs(offset) / 4,
        stuck_conductance=stuck,
        stuck_posterior=np.where(fault == 1, 0.75, 0.0),
        stuck_motion=np.where(fault == 2, np.float32(2e-5), np.nan).astype(float),
    )


def test_round_trip(maps, tmp_path):
    save_cells(maps, tmp_path / "a.cells.h5")
    loaded = load_cells(tmp_path / "a.cells.h5")
    np.testing.assert_array_equal(loaded.fault, maps.fault)
    np.testing.assert_array_equal(loaded.offset, maps.offset)
    np.testing.assert_array_equal(loaded.offset_stderr, maps.offset_stderr)
    np.testing.assert_array_equal(loaded.hard_posterior, maps.hard_posterior)
    np.testing.assert_array_equal(loaded.stuck_conductance, maps.stuck_conductance)
    np.testing.assert_array_equal(loaded.stuck_posterior, maps.stuck_posterior)
    np.testing.assert_array_equal(loaded.stuck_motion, maps.stuck_motion)
    assert loaded.certainty is None


def test_same_maps_same_bytes(maps, tmp_path):
    save_cells(maps, tmp_path / "a.cells.h5")
    assert (tmp_path / "a.cells.h5").read_bytes() == cells_bytes(maps)


def test_sidecar_of_an_array_without_levels(tmp_path):
    empty = np.empty((0, 2, 2))
    faults = CellMaps(fault=np.zeros((2, 2), np.int8), offset=empty, hard_posterior=empty)
    save_cells(faults, tmp_path / "a.cells.h5")
    assert load_cells(tmp_path / "a.cells.h5").offset.shape == (0, 2, 2)


def test_other_files_raise_an_error(tmp_path):
    path = tmp_path / "a.cells.h5"
    with h5py.File(path, "w") as f:
        f.attrs["format"] = "rramfit-measurement"
    with pytest.raises(CardError, match=r"expected rramfit-cells 1\.0"):
        load_cells(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(CardError, match="sidecar"):
        load_cells(path)


def test_maps_of_different_shapes_raise_an_error():
    with pytest.raises(ValueError, match="one array"):
        CellMaps(
            fault=np.zeros((2, 2), np.int8),
            offset=np.zeros((1, 3, 2)),
            hard_posterior=np.zeros((1, 3, 2)),
        )
    one = np.zeros((1, 2, 2))
    for name in ("offset_stderr", "line_offset"):
        with pytest.raises(ValueError, match=f"{name} has shape .*, expected that of offset"):
            CellMaps(
                fault=np.zeros((2, 2), np.int8),
                offset=one,
                hard_posterior=one,
                **{name: np.zeros((2, 2, 2))},
            )
