"""Read files of tensors written by `torch.save`, without running code from them.

`torch.load` does not compare the checksums that `torch.save` writes; they are compared here, so
that a changed bit is noticed.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from rramfit.errors import CheckpointError

__all__ = ["load_tensors"]


def load_tensors(path: Path, *, expected: str) -> dict[str, Any]:
    """Read a dict of tensors onto the CPU.

    Parameters
    ----------
    path : Path
    expected : str
        Description of the expected content, for the error message.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or does not hold a dict.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        found = "objects other than tensors, or a file not written by torch.save"
    except FileNotFoundError:
        found = "no such file"
    except Exception:  # noqa: BLE001  # torch.load raises whatever a damaged file makes of it
        truncated = "a truncated or damaged file, or a file not written by torch.save"
        found = truncated if _size(path) else "an empty file"
    else:
        if isinstance(content, dict):
            return content
        found = f"a {type(content).__name__}"
    raise CheckpointError(path, "file", found=found, expected=expected)


def _check_sums(path: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                msg = "a checksum differs"
                raise ValueError(msg)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
