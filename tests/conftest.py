"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repo() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party data beside the project."""
    path = Path(os.environ.get("RRAMFIT_SHARED", ROOT.parent / "shared")).resolve()
    if not path.is_dir():
        pytest.skip(f"{path} is missing; set RRAMFIT_SHARED to the shared folder")
    return path
