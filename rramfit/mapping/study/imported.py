"""Import of user code by name: `module:callable`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rramfit.errors import MappingError

__all__ = ["import_callable"]


def import_callable(name: str) -> Callable[..., Any]:
    """Import ``module:callable``; the working folder is searched too.

    Raises
    ------
    MappingError
        If the import fails, or the object is not callable.
    """
    module, _, attribute = name.partition(":")
    expected = "expected module:callable of an importable module"
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = getattr(import_module(module), attribute)
    except Exception as e:  # user code can raise anything
        msg = f"{name!r}: {type(e).__name__}: {e}; {expected}"
        raise MappingError(msg) from e
    if not callable(found):
        msg = f"{name!r} is a {type(found).__name__}; {expected}"
        raise MappingError(msg)
    called: Callable[..., Any] = found
    return called
