"""Records of the closed loop: one JSON object a line, one line a chip.

A record belongs to the case named by its key and the numbers of draws, chips or images in
`settings`; records with other settings are not used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def completed(
    path: Path,
    keys: Sequence[str],
    settings: dict[str, int],
    make: Callable[[str], Record],
) -> list[Record]:
    """Return the records of all keys; missing ones are made and appended to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = {r["key"]: r for r in map(json.loads, kept) if r["settings"] == settings}
    for n, key in enumerate(keys, start=1):
        if key not in found:
            found[key] = {"key": key, "settings": settings, **make(key)}
            with path.open("a", encoding="utf-8") as f:
                f.write(json.dumps(found[key]) + "\n")
        sys.stderr.write(f"{path.stem}: {n} of {len(keys)} chips, {key}\n")
    return [found[key] for key in keys]
