"""One process that tries mutated files, one after the other; `trials` restarts it when it is lost.

Outcomes: "same" numbers, "other" numbers, a "sentence" (an error of rramfit on one line), or "raw",
another exception. Losing this process and not coming back are seen by `trials` alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from mutations import stream
from sources import FILES
from targets import TARGETS

__all__ = ["outcome_of", "sound_of"]


def outcome_of(name: str, number: int, sources: Path, sound: str) -> tuple[str, str]:
    """Return the outcome of one mutation, and what there is to say about it."""
    from rramfit.errors import RramfitError

    target = TARGETS[name]
    source = sources / FILES[target.source]
    data = target.mutate(source.read_bytes(), stream(name, number))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / source.name
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = target.read(path, sources)
        except RramfitError as e:
            text = str(e)
            return ("sentence", text) if len(text.splitlines()) == 1 else ("raw", f"lines: {text}")
        except Exception as e:  # noqa: BLE001  # what the study looks for
            place = traceback.extract_tb(e.__traceback__)[-1]
            own = [f for f in traceback.extract_tb(e.__traceback__) if "rramfit/" in f.filename]
            where = f"{own[-1].filename.rpartition('rramfit/')[2]}:{own[-1].lineno}" if own else ""
            return "raw", f"{type(e).__name__}: {str(e)[:200]} at {where} ({place.name})"
    return ("same" if found == sound else "other"), ""


def sound_of(name: str, sources: Path) -> str:
    """Return what the sound file gives."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES[target.source]
        path.write_bytes((sources / path.name).read_bytes())
        return target.read(path, sources)


def main() -> None:
    sources = Path(sys.argv[1])
    sound: dict[str, str] = {}
    for line in sys.stdin:
        name, number = json.loads(line)
        if name not in sound:
            sound[name] = sound_of(name, sources)
        print(json.dumps(outcome_of(name, number, sources, sound[name])), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
