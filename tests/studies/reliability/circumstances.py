"""Run commands where something around them is wrong; each must end in a sentence or a result.

A full disk is a small limit of the size of files (RLIMIT_FSIZE), which every write then meets, or a
small tmpfs where mounting is allowed.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kills import COMMANDS, rramfit, unfinished

__all__ = ["CIRCUMSTANCES", "run_circumstances"]

_EXPECTED = {0, 2, 3, 4}  # exit codes of a sentence or a result
_LIMIT = 300.0  # [s]


def _run(
    name: str,
    sources: Path,
    out: Path,
    *,
    environment: dict[str, str] | None = None,
    largest: int | None = None,
) -> list[str]:
    """Run a command; return what is wrong with its end and with the files it leaves."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    done = subprocess.run(
        rramfit(*COMMANDS[name](sources, out)),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_LIMIT,
        env=environment,
        preexec_fn=limit,
    )
    return _wrong(name, done, out)


def _wrong(name: str, done: subprocess.CompletedProcess[str], out: Path) -> list[str]:
    wrong = []
    if done.returncode not in _EXPECTED or "Traceback" in done.stderr:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        wrong.append(f"{name}: exit code {done.returncode}: {last[-200:]}")
    left = sorted(out.rglob("*")) if out.is_dir() else []
    return wrong + [f"{name}: {path.name}: {why}" for path in left if (why := unfinished(path))]


def _each(work: Callable[[str, Path], list[str]]) -> list[str]:
    """Do the same with every command, each in a separate folder."""
    wrong = []
    for name in COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            wrong += work(name, Path(folder))
    return wrong


def full_disk(sources: Path) -> list[str]:
    """Limit the size of files to 0, 1,000 and 20,000 bytes."""
    return [
        text
        for size in (0, 1000, 20_000)
        for text in _each(lambda name, out, size=size: _run(name, sources, out, largest=size))
    ]


def _mounted(sources: Path, options: str) -> list[str]:
    """Run each command into a tmpfs; nothing where mounting is not allowed."""

    def work(name: str, out: Path) -> list[str]:
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(out)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return []
        try:
            return _run(name, sources, out)
        finally:
            subprocess.run(["umount", str(out)], capture_output=True, check=False)

    return _each(work)


def small_tmpfs(sources: Path) -> list[str]:
    """Write into a tmpfs of 16 KiB."""
    return _mounted(sources, "size=16k")


def read_only(sources: Path) -> list[str]:
    """Write into a folder without write permission; for root, into a tmpfs mounted read-only."""
    if os.getuid() == 0:
        return _mounted(sources, "ro")

    def work(name: str, out: Path) -> list[str]:
        out.chmod(0o555)
        found = _run(name, sources, out)
        out.chmod(0o755)
        return found

    return _each(work)


def no_home(sources: Path) -> list[str]:
    """Run without HOME."""
    environment = {k: v for k, v in os.environ.items() if k != "HOME"}
    return _each(lambda name, out: _run(name, sources, out, environment=environment))


def plain_locale(sources: Path) -> list[str]:
    """Run with LC_ALL=C and an ASCII standard output."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return _each(lambda name, out: _run(name, sources, out, environment=environment))


def no_temporary_folder(sources: Path) -> list[str]:
    """Run with a TMPDIR that nothing can be written into."""
    environment = {**os.environ, "TMPDIR": "/proc/1"}
    return _each(lambda name, out: _run(name, sources, out, environment=environment))


def input_removed(sources: Path) -> list[str]:
    """Remove the input at several times after the start."""
    return _while_running(sources, lambda path: path.unlink())


def input_growing(sources: Path) -> list[str]:
    """Append to the input, several times after the start."""

    def grow(path: Path) -> None:
        with path.open("ab") as f:
            f.write(b"\0" * 1000)

    return _while_running(sources, grow)


def _while_running(sources: Path, work: Callable[[Path], None]) -> list[str]:
    wrong = []
    for wait in (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 2.0, 2.5):
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "chip.h5", Path(folder) / "out"
            shutil.copyfile(sources / "sealed.h5", path)
            timer = threading.Timer(wait, work, [path])
            timer.start()
            done = subprocess.run(
                rramfit("characterize", str(path), "-o", str(out)),
                capture_output=True,
                text=True,
                check=False,
                timeout=_LIMIT,
            )
            timer.join()
            wrong += _wrong("characterize", done, out)
    return wrong


def two_at_once(sources: Path) -> list[str]:
    """Run each command twice at once into one folder."""

    def work(name: str, out: Path) -> list[str]:
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.extend(_run(name, sources, out)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        return found

    return _each(work)


CIRCUMSTANCES: dict[str, Callable[[Path], list[str]]] = {
    "full disk": full_disk,
    "tmpfs of 16 KiB": small_tmpfs,
    "read-only folder": read_only,
    "no HOME": no_home,
    "LC_ALL=C": plain_locale,
    "no TMPDIR": no_temporary_folder,
    "input removed": input_removed,
    "input growing": input_growing,
    "two processes on one output": two_at_once,
}


def run_circumstances(names: Sequence[str], records: Path) -> None:
    """Run the circumstances that are not in the records yet."""
    path = records / "circumstances.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in names:
        if name not in known:
            known[name] = CIRCUMSTANCES[name]((records / "sources").resolve())
            path.write_text(json.dumps(known, indent=1), encoding="utf-8")
