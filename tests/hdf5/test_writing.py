"""A disk that is full, or fails, while a file is written."""

import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from rramfit.hdf5.writing import create_hdf5


def test_a_file_is_written_twice_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(20, 30, 40))
    for path in (tmp_path / "a.h5", tmp_path / "b.h5"):
        with create_hdf5(path) as f:
            f.create_dataset("x", data=values, chunks=(1, 30, 40), compression="gzip")
            f["x"].attrs["units"] = "S"
            f.create_group("g").attrs["a"] = [1, 2]
            assert f["x"][3, 4, 5] == values[3, 4, 5]
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as f:
        assert (f["x"][...] == values).all()
        assert f["g"].attrs["a"].tolist() == [1, 2]


@pytest.mark.parametrize("largest", [0, 700, 3000, 20_000, 200_000])
def test_a_full_disk_is_one_error(tmp_path, largest):
    code = (
        "import sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from rramfit.errors import OutputError\n"
        "from rramfit.hdf5.writing import create_hdf5\n"
        "from rramfit.provenance import atomic_file\n"
        "try:\n"
        "    with atomic_file(Path(sys.argv[1])) as part, create_hdf5(part) as f:\n"
        "        for n in range(20):\n"
        "            values = np.random.default_rng(n).normal(size=(50, 500))\n"
        "            f.create_dataset(f'x{n}', data=values, chunks=(10, 500), compression='gzip')\n"
        "except OutputError as e:\n    assert 'File too large' in str(e), e\n    sys.exit(2)\n"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.h5")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
