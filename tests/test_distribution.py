"""Wheel and sdist: built twice, at other times and permissions, they are the same bytes."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest


@pytest.fixture(scope="module")
def builds(repo, tmp_path_factory):
    """Folders with wheel and sdist of two builds."""
    root = tmp_path_factory.mktemp("builds")
    with (repo / "pyproject.toml").open("rb") as f:
        hatch = tomllib.load(f)["tool"]["hatch"]["build"]["targets"]
    wanted = {
        *hatch["wheel"]["packages"],
        *hatch["wheel"].get("force-include", {}),
        *hatch["sdist"]["include"],
        "pyproject.toml",
    }
    folders = []
    for n, (umask, epoch) in enumerate([(0o022, 0), (0o077, 1_700_000_000)]):
        tree = root / f"tree{n}"
        for name in sorted(wanted, reverse=bool(n)):
            source, target = repo / name, tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                skip = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, ignore=skip, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copyfile(source, target)
        for path in tree.rglob("*"):
            path.chmod(0o755 & ~umask if path.is_dir() else 0o644 & ~umask)
            os.utime(path, (epoch, epoch))
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", str(root / f"dist{n}")],
            cwd=tree,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
            check=True,
            capture_output=True,
            umask=umask,
        )
        folders.append(root / f"dist{n}")
    return folders


def test_two_builds_are_the_same_bytes(builds):
    first, second = (
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
        for folder in builds
    )
    assert len(first) == 2
    assert first == second


def test_they_hold_the_packages(builds):
    (wheel,) = builds[0].glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"rramfit/__init__.py", "rramfit/py.typed", "rramfit_cli/main.py"} <= set(names)
    assert not any(name.startswith("tests/") for name in names)
    (sdist,) = builds[0].glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "tests/test_layers.py"} <= inside
