"""Files of tensors, as `torch.save` writes them: read without running code in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from rramfit.errors import CheckpointError

__all__ = ["load_tensors"]

_BROKEN = OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError
"""What `torch.load` raises for files that are none of its own."""


def load_tensors(path: Path, *, expected: str) -> dict[str, Any]:
    """Read a mapping of tensors, onto the CPU.

    Parameters
    ----------
    path : Path
    expected : str
        What it should be, for the error.

    Raises
    ------
    CheckpointError
        If it cannot be read, or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        found = "objects other than tensors, or no file of torch.save"
    except FileNotFoundError:
        found = "no such file"
    except _BROKEN:
        found = "a file that is cut off, or none of torch.save" if _size(path) else "an empty file"
    else:
        if isinstance(content, dict):
            return content
        found = f"a {type(content).__name__}"
    raise CheckpointError(path, "file", found=found, expected=expected)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
