"""The programs that cards are exported to: where they are installed, and runs in them.

CrossSim is not on the package index: set RRAMFIT_CROSSSIM to a clone, or install it. aihwkit is
heavy, and so is XBTorch: set RRAMFIT_AIHWKIT or RRAMFIT_XBTORCH to a folder of packages that has
it, or install it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAMS = {
    "crosssim": ("RRAMFIT_CROSSSIM", "simulator"),
    "aihwkit": ("RRAMFIT_AIHWKIT", "aihwkit"),
    "lightning": ("RRAMFIT_LIGHTNING", "aihwkit_lightning"),
    "xbtorch": ("RRAMFIT_XBTORCH", "xbtorch"),
}
"""The environment variable with the folder of each program, and its Python package."""

HERE = Path(__file__).resolve().parent
TIMEOUT = 600  # [s]


def place_of(program: str) -> Path | None:
    """Return the folder to put on the Python path for a program; None if it is not there."""
    variable, module = PROGRAMS[program]
    given = os.environ.get(variable)
    if given and (Path(given) / module).is_dir():
        return Path(given)
    found = importlib.util.find_spec(module)
    return None if found is None or found.origin is None else Path(found.origin).parent.parent


def run(place: Path, script: Path | str, folder: Path, *arguments: object) -> Any:
    """Run a Python file, or a text, in `folder`; return what it reported, or printed.

    Raises
    ------
    RuntimeError
        If it fails; the message is what it wrote to standard error.
    """
    path = os.pathsep.join(map(str, (folder, place, HERE)))
    code = [str(script)] if isinstance(script, Path) else ["-c", script]
    done = subprocess.run(
        [sys.executable, *code, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    results = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    return json.loads(results[-1].partition(" ")[2]) if results else done.stdout
