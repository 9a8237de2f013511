"""Files that the HDF5 library cannot survive, files that lead elsewhere, and limits."""

import os
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from rramfit.card import CellMaps, load_cells, save_cells
from rramfit.errors import CardError, MeasurementError, RramfitError
from rramfit.hdf5 import Dataset, Group, is_hdf5, open_hdf5
from rramfit.measurement import (
    inspect_measurement,
    read_measurement,
    synthesize,
    validate_layout,
    write_measurement,
)
from rramfit.measurement.virtual.cards import random_card
from rramfit_cli.main import cli

DAMAGED = (
    "attribute", "endless", "endless-2", "float-type", "huge-buffer", "link-table", "segfault",
    "string-type",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of rramfit with most groups."""
    path = tmp_path_factory.mktemp("written") / "chip.h5"
    card = random_card(5, levels=2, array=(8, 6))
    groups = ("program", "reads", "retention", "iv", "mvm")
    write_measurement(synthesize(card, sweeps=3, seed=2, groups=groups), path)
    return path


def copy_of(path, folder, data=None):
    copied = folder / "copied.h5"
    copied.write_bytes(path.read_bytes() if data is None else data)
    return copied


def minimal(f):
    f.attrs.update(
        {"format": "rramfit-measurement", "format_version": "1.0", "array_id": "a", "cell": "1R"}
    )


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_cases_are_one_sentence(shared, monkeypatch, name):
    monkeypatch.setenv("RRAMFIT_READ_SECONDS", "0.5")
    path = shared / f"cases/damaged/{name}.h5"
    with pytest.raises(MeasurementError) as raised:
        read_measurement(path)
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).startswith(str(path))
    assert [p.note for p in validate_layout(path)] == [False]
    assert read_measurement(shared / "cases/damaged/sound.h5").rows == 16


@pytest.mark.parametrize(
    "arguments",
    [
        ["measurement", "inspect", "FILE"],
        ["measurement", "validate", "FILE"],
        ["measurement", "guess-layout", "FILE"],
        ["array", "solve", "FILE"],
        ["card", "show", "FILE"],
        ["characterize", "FILE", "-o", "OUT"],
        ["evaluate", "--replay", "FILE"],
        ["evaluate", "--cells", "FILE"],
    ],
    ids=" ".join,
)
def test_every_command_rejects_a_file_that_crashes_hdf5(shared, tmp_path, arguments):
    path = shared / "cases/damaged/segfault.h5"
    places = {"FILE": str(path), "OUT": str(tmp_path)}
    result = CliRunner().invoke(cli, [places.get(a, a) for a in arguments])
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output
    assert str(path) in result.output


def test_an_endless_read_ends_by_processor_time(shared, monkeypatch):
    monkeypatch.setenv("RRAMFIT_READ_SECONDS", "0.2")
    with pytest.raises(MeasurementError, match=r"0\.2.* s of processor time.*RRAMFIT_READ_SECONDS"):
        read_measurement(shared / "cases/damaged/endless.h5")


def test_a_limit_must_be_a_number(written, monkeypatch):
    monkeypatch.setenv("RRAMFIT_READ_GIGABYTES", "lots")
    with pytest.raises(RramfitError, match="RRAMFIT_READ_GIGABYTES is 'lots'"):
        read_measurement(written)


def test_memory_is_limited_and_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as f:
        f["values"] = np.zeros(2_000_000)
    monkeypatch.setenv("RRAMFIT_READ_GIGABYTES", "0.02")
    with (
        pytest.raises(MeasurementError, match="RRAMFIT_READ_GIGABYTES"),
        open_hdf5(path, MeasurementError) as f,
    ):
        f["values"][...]
    monkeypatch.setenv("RRAMFIT_READ_GIGABYTES", "1")
    with open_hdf5(path, MeasurementError) as f:
        assert f["values"][...].size == 2_000_000


def test_a_dataset_that_claims_more_than_the_file_can_hold_is_rejected(tmp_path):
    path = tmp_path / "claims.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("huge", (10**9, 64, 64), "f4", chunks=(1, 64, 64), compression="gzip")
    with (
        pytest.raises(MeasurementError, match="1000000000 × 64 × 64 values"),
        open_hdf5(path, MeasurementError) as f,
    ):
        f["huge"][0:16]


def test_nothing_outside_the_file_is_opened(tmp_path):
    secret, path = tmp_path / "secret.h5", tmp_path / "links.h5"
    (tmp_path / "raw.bin").write_bytes(bytes(80))
    with h5py.File(secret, "w") as f:
        f["levels/target"] = [1e-6, 5e-6]
        f["levels/target"].attrs["units"] = "S"
    with h5py.File(path, "w") as f:
        minimal(f)
        f["levels"] = h5py.ExternalLink(str(secret), "/levels")
        f["around"] = h5py.SoftLink("/levels/target")
        f["circle"] = h5py.SoftLink("/circle")
        f["inside"] = [1, 2, 3]
        f["soft"] = h5py.SoftLink("inside")
        f.create_dataset("raw", (10,), "f8", external=[(str(tmp_path / "raw.bin"), 0, 80)])
        source = h5py.VirtualSource(str(secret), "levels/target", (2,))
        layout = h5py.VirtualLayout((2,), "f8")
        layout[:] = source
        f.create_virtual_dataset("virtual", layout)
    with open_hdf5(path, MeasurementError) as f:
        assert f["soft"][...].tolist() == [1, 2, 3]
        for name in ("levels", "around", "circle", "raw", "virtual"):
            assert not isinstance(f[name], (Dataset, Group)), name
        assert [d.name for d in f.datasets()] == ["/inside", "/soft"]
    problems = {p.where: p.found for p in validate_layout(path)}
    assert problems["/levels"] == "a link to another file, which is not followed"


def test_hostile_attributes(tmp_path):
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as f:
        minimal(f)
        f.attrs["comment"] = np.bytes_(b"\xff\xfe bytes")
        f.attrs["technology"] = "\x1b[2J<b>"
        f.attrs["operator"] = np.zeros(3, [("a", "f4"), ("b", "S3")])
        f.attrs["lot"] = h5py.Empty("f8")
        f.attrs["temperature"] = np.longdouble("300")
        f.attrs["measured_at"] = "0001-01-01T00:00:00+14:00"
        f.create_group("levels").attrs["x"] = np.zeros(3000)
        f["nothing"] = h5py.Empty("f8")
    problems = {p.where: p for p in validate_layout(path)}
    for where in ("/@operator", "/@lot", "/@measured_at", "/levels/target"):
        assert not problems[where].note
    assert all(str(p).isprintable() for p in problems.values())
    with open_hdf5(path, MeasurementError) as f:
        assert f.attrs["comment"] == "\N{REPLACEMENT CHARACTER}" * 2 + " bytes"
        f.attrs["comment"].encode()


def test_a_message_shows_no_control_characters(tmp_path):
    path = tmp_path / "a\x1b[2Jb\nc.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(MeasurementError) as raised:
        read_measurement(path)
    assert str(raised.value).isprintable()


def test_the_same_values_as_h5py(written):
    with h5py.File(written, "r") as f, open_hdf5(written, MeasurementError) as g:
        assert list(g) == list(f)
        assert len(g) == len(f)
        for found in g.datasets():
            wanted = f[found.name]
            assert found.shape == wanted.shape
            assert set(found.attrs) == set(wanted.attrs)
            if not found.is_text:
                assert found.dtype == wanted.dtype
                np.testing.assert_array_equal(found[...], wanted[...])
                if found.ndim > 1:
                    np.testing.assert_array_equal(found[1:, 0], wanted[1:, 0])
                    np.testing.assert_array_equal(found.along(0)[-1], wanted[-1])
        assert g["program"].attrs["read_voltage"] == f["program"].attrs["read_voltage"]
        assert "program/conductance" in g
        assert g.get("program/nothing") is None


def test_a_user_block_is_skipped(tmp_path):
    path = tmp_path / "block.h5"
    with h5py.File(path, "w", userblock_size=1024) as f:
        f["x"] = 1
    assert is_hdf5(path)
    path.write_bytes(b"\x89HDF")
    assert not is_hdf5(path)


def test_a_file_that_is_written_between_two_passes_is_noticed(written, tmp_path):
    path = copy_of(written, tmp_path)
    m = read_measurement(path)
    os.utime(path, ns=(0, 0))
    with pytest.raises(MeasurementError, match="changed while it was read"):
        list(m.program.blocks())
    path.unlink()
    with pytest.raises(MeasurementError, match="no such file"):
        list(m.reads.blocks())


def test_every_dataset_has_a_checksum_and_the_file_a_seal(written):
    with h5py.File(written, "r") as f:
        found = []
        f.visititems(lambda _, o: found.append(o) if isinstance(o, h5py.Dataset) else None)
        assert len(found) > 12
        assert all(d.fletcher32 and len(d.attrs["sha256"]) == 64 for d in found)
        assert len(f.attrs["content_sha256"]) == 64


def test_no_flipped_bit_changes_a_number(written, tmp_path):
    data, digest = written.read_bytes(), numbers(written)
    rng = np.random.default_rng(7)
    noticed = 0
    for at in rng.choice(len(data), 40, replace=False):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(rng.integers(8))
        path = copy_of(written, tmp_path, bytes(flipped))
        try:
            assert numbers(path) == digest
        except MeasurementError:
            noticed += 1
    assert noticed > 10


def numbers(path):
    m = read_measurement(path)
    blocks = [b.conductance.tobytes() + b.level.tobytes() for b in m.program.blocks()]
    reads = [b.tobytes() for r in (m.reads, m.retention) for b in r.blocks()]
    small = [m.mvm.current.tobytes(), m.iv.current.tobytes(), m.levels.target.tobytes()]
    return blocks, reads, small, m.identity, m.program.read_voltage, m.retention.temperature


def test_an_edit_is_noticed_until_the_seal_is_removed(written, tmp_path):
    path = copy_of(written, tmp_path)
    with h5py.File(path, "r+") as f:
        f["mvm/current"][0, 0] *= 1.01
    with pytest.raises(MeasurementError, match="delete its root attribute `content_sha256`"):
        read_measurement(path)
    with h5py.File(path, "r+") as f:
        f["mvm/current"][0, 0] /= 1.01
        f["program"].attrs["read_voltage"] = 0.3
    with pytest.raises(MeasurementError, match="digest of another content"):
        read_measurement(path)
    with h5py.File(path, "r+") as f:
        del f.attrs["content_sha256"]
    assert read_measurement(path).program.read_voltage == 0.3


def test_a_changed_sweep_is_noticed_in_the_pass_over_it(written, tmp_path):
    path = copy_of(written, tmp_path)
    with h5py.File(path, "r+") as f:
        f["program/conductance"][2, 0, 0] *= 1.5
    assert [p.where for p in validate_layout(path)] == ["/program/conductance"]


def test_a_sidecar_is_checked(tmp_path):
    path = tmp_path / "a.cells.h5"
    offset = np.zeros((2, 3, 4))
    save_cells(
        CellMaps(fault=np.zeros((3, 4), np.int8), offset=offset, hard_posterior=offset), path
    )
    with h5py.File(path, "r+") as f:
        assert all(d.fletcher32 for d in f.values())
        f["fault"][0, 0] = 1
    with pytest.raises(CardError, match="digest"):
        load_cells(path)
    with h5py.File(path, "r+") as f:
        f["fault"][0, 0] = 99
        del f.attrs["content_sha256"]
    with pytest.raises(CardError, match="found 99, expected values from 0 to 6"):
        load_cells(path)


def test_files_are_read_in_threads_and_in_forked_processes(written):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(read_measurement(written).rows))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [8] * 4
    code = (
        "import os, sys\nfrom rramfit.measurement import read_measurement as read\n"
        f"path = {str(written)!r}\nread(path)\n"
        "child = os.fork()\n"
        "ok = read(path).rows == 8\n"
        "if not child:\n    os._exit(0 if ok else 1)\n"
        "sys.exit(os.waitpid(child, 0)[1] or not ok)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


def test_no_process_is_left(written):
    code = (
        "import os\nfrom rramfit.measurement import read_measurement\n"
        f"m = read_measurement({str(written)!r})\nblocks = m.program.blocks(1)\nnext(blocks)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    process.wait()
    for _ in range(400):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a reading process is left")


def test_inspection_names_types(written):
    found = {d.name: d.type for g in inspect_measurement(written).groups for d in g.datasets}
    assert (found["conductance"], found["name"], found["verified"]) == ("float64", "text", "bool")
