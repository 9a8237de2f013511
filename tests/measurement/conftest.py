"""A measurement file with every group, written with h5py only, not with rramfit's writer."""

import h5py
import numpy as np
import pytest

ROWS, COLS, SWEEPS, LEVELS = 6, 5, 4, 3


@pytest.fixture
def full(tmp_path):
    """Return the path of a valid file with all groups, which the tests then damage."""
    path = tmp_path / "full.h5"
    rng = np.random.default_rng(5)
    target = np.array([5e-6, 40e-6, 90e-6])
    with h5py.File(path, "w") as f:
        f.attrs.update(
            {
                "format": "rramfit-measurement",
                "format_version": "1.0",
                "array_id": "chip 7 / tile 2",
                "cell": "1T1R",
                "lot": "L1",
                "measured_at": "2026-03-01T09:30:00+01:00",
                "temperature": 300.0,
                "synthetic": True,
            }
        )
        f["truth"] = '{"seed": 5}'
        _put(f, "levels/target", target, "S")
        _put(f, "levels/lower", target * 0.9, "S")
        _put(f, "levels/upper", target * 1.1, "S")
        f["levels/name"] = ["off", "mid", "on"]

        level = rng.integers(-1, LEVELS, (SWEEPS, ROWS, COLS))
        g = target[np.maximum(level, 0)] * rng.normal(1, 0.08, level.shape)
        g[0, 1, 2] = np.nan
        _put(f, "program/conductance", g.astype("f4"), "S")
        f["program/level"] = level.astype("i1")
        f["program/verified"] = rng.random(level.shape) < 0.9
        f["program/pulses"] = rng.integers(0, 50, level.shape).astype("u2")
        f["program"].attrs.update({"read_voltage": 0.2, "max_pulses": 50})

        for name, time in (("reads", np.arange(3.0)), ("retention", np.array([0, 1.0, 24.0]))):
            _put(f, f"{name}/conductance", np.full((3, ROWS, COLS), 4e-5, "f4"), "S")
            _put(f, f"{name}/time", time, "h" if name == "retention" else "s")
            f[f"{name}/level"] = np.ones((ROWS, COLS), "i1")
        f["reads"].attrs["read_voltage"] = 0.1
        f["retention"].attrs["temperature"] = 398.0

        _put(f, "endurance/conductance", np.full((2, 2, ROWS, COLS), 4e-5, "f4"), "S")
        f["endurance/cycle"] = np.array([1, 1000])

        _put(f, "iv/voltage", np.array([0.0, 100.0, 200.0]), "mV")
        _put(f, "iv/current", np.array([[0.0, 1, 2], [0, 2, 4]]), "uA")
        f["iv/row"], f["iv/col"] = np.array([0, 5]), np.array([4, 0])

        _put(f, "mvm/voltage", np.full((2, ROWS), 0.2), "V")
        _put(f, "mvm/current", np.full((2, COLS), 48e-6), "A")
        _put(f, "mvm/conductance", np.full((ROWS, COLS), 4e-5), "S")
        f["mvm"].attrs.update({"inactive_rows": "grounded", "cell_reads": "intrinsic"})

        _put(f, "readout/input", np.array([0.0, 1e-6]), "A")
        f["readout/code"] = np.array([[128] * 3, [140] * 3])
        f["readout/channel_col"] = np.array([0, 2, 4])
        f["readout"].attrs.update({"bits": 8, "full_scale": 1e-5, "zero_code": 128})
    return path


def _put(f, where, values, units):
    f[where] = values
    f[where].attrs["units"] = units
