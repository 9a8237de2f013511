"""Kill commands at random times; whatever they leave must be whole, and their input unchanged.

The time of each kill is uniform between the start of the command and a little after its end. A
second run in the same folder must then succeed. Hidden files `.NAME.….part` may be left; no process
may be.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mutations import stream

__all__ = ["COMMANDS", "rramfit", "run_kills", "unfinished"]

_AGAIN = 10  # one kill in ten is followed by a second run
_LATE = 1.05  # latest kill, in durations of the command

COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "characterize": lambda s, out: ["characterize", f"{s}/sealed.h5", "-o", f"{out}"],
    "lot": lambda s, out: [
        "characterize", f"{s}/sealed.h5", f"{s}/unsealed.h5", f"{s}/plain.h5",
        "--jobs", "2", "-o", f"{out}",
    ],
    "convert": lambda s, out: [
        "measurement", "convert", f"{s}/log.csv", "--layout", f"{s}/layout.toml",
        "-o", f"{out}/converted.h5",
    ],
    "train": lambda _, out: [
        "train", "mlp", "--plain", "--seed", "1", "-o", f"{out}/network.pt",
        "--report", f"{out}/training.html",
    ],
    "evaluate": lambda _, out: [
        "evaluate", "mlp", "--chips", "2", "--images", "50", "-o", f"{out}/network.html",
    ],
    "export": lambda s, out: [
        "card", "export", f"{s}/chip.card.json", "-o", f"{out}/card.csv",
    ],
}  # fmt: skip
"""Arguments of each command, from the folder of the sources and that of the results."""


def rramfit(*arguments: str) -> list[str]:
    """Return the command line of `rramfit` in this environment."""
    code = "from rramfit_cli.main import main; main()"
    return [sys.executable, "-P", "-c", code, *arguments]


def run_kills(name: str, *, count: int, records: Path, until: float) -> Iterator[int]:
    """Kill a command until there are `count` kills; append what is wrong to the records."""
    sources, path = records / "sources", records / f"kills-{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    first, longest = len(lines), 0.0
    while first < count and time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder:
            if not longest:
                longest = _duration(name, sources, Path(folder))
        wait = float(stream(f"kill {name}", first).uniform(0, _LATE * longest))
        wrong, killed = _one(name, sources, wait, again=first % _AGAIN == 0)
        with path.open("a", encoding="utf-8") as f:
            f.write(json.dumps({"wait": wait, "killed": killed, "wrong": wrong}) + "\n")
        first += 1
        yield first


def _duration(name: str, sources: Path, out: Path) -> float:
    start = time.monotonic()
    done = subprocess.run(
        rramfit(*COMMANDS[name](sources, out)), capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 4):
        msg = f"{name} fails without a kill: {done.stderr[-500:]}"
        raise RuntimeError(msg)
    return time.monotonic() - start


def _one(name: str, sources: Path, wait: float, *, again: bool) -> tuple[list[str], bool]:
    """Kill one run; return what is wrong then, and whether it had not ended before."""
    out = Path(tempfile.mkdtemp())
    before = _digests(sources)
    command = rramfit(*COMMANDS[name](sources, out))
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(wait)
        killed = False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = True
    wrong = [f"{p.name}: {why}" for p in sorted(out.rglob("*")) if (why := unfinished(p))]
    if _digests(sources) != before:
        wrong.append("an input file was changed")
    if not _session_ends(process.pid):
        wrong.append("a process is left")
    if again and not wrong:
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        if second.returncode not in (0, 4):
            wrong.append(f"the second run fails: {second.stderr[-300:]}")
    shutil.rmtree(out)
    return wrong, killed


def _digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def _session_ends(session: int) -> bool:
    """Wait until no process of a session is left; False after a minute, as on a loaded machine."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not any(_session(p) == session for p in Path("/proc").iterdir() if p.name.isdigit()):
            return True
        time.sleep(0.05)
    return False


def _session(process: Path) -> int:
    try:
        fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] == "Z" else int(fields[3])


def unfinished(path: Path) -> str:
    """Return why a file that a command left is not whole; empty if it is, or is a hidden part."""
    from rramfit.errors import RramfitError

    if path.is_dir() or (path.name.startswith(".") and path.suffix == ".part"):
        return ""
    try:
        if path.name.endswith(".card.json"):
            from rramfit.card import load_card

            load_card(path)
        elif path.name.endswith(".cells.h5"):
            from rramfit.card import load_cells

            load_cells(path)
        elif path.suffix == ".h5":
            from rramfit.measurement import validate_layout

            return "; ".join(str(p) for p in validate_layout(path) if not p.note)
        elif path.suffix == ".pt":
            from rramfit.mapping.layers.tensor_files import load_tensors

            load_tensors(path, expected="a network")
        elif path.suffix == ".html":
            end = path.read_text(encoding="utf-8").rstrip()[-7:]
            return "" if end == "</html>" else f"ends with {end!r}"
        elif path.suffix in (".csv", ".jsonl"):
            return "" if path.read_bytes().endswith(b"\n") else "ends within a line"
    except (RramfitError, ValueError, OSError) as e:
        return str(e)
    return ""
