"""The asking side: one original reading process for this process, and a copy of it for each file.

`subprocess` starts the original and a socket carries the requests, rather than `multiprocessing`:
workers of a cluster are daemons, which may not have children there. A process that was itself
forked starts its own original.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from rramfit.errors import InputError, RramfitError
from rramfit.hdf5.limits import GIGABYTES, SECONDS, limits_for
from rramfit.hdf5.messages import CONTENT, END, ENDED, FORK, FORKED, receive, receive_exactly, send

__all__ = ["EDITED", "Reader", "prepare"]

_COPY_AGAIN = "copy the file again from its source"
EDITED = f"{_COPY_AGAIN}; if you edited it on purpose, delete its root attribute `{CONTENT}`"


class _Original:
    """The process that forks readers."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._commands, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from rramfit.hdf5.serve import main; main({theirs.fileno()})"
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError as e:
            self._commands.close()
            msg = f"cannot start the process that reads HDF5 files: {e.strerror}"
            raise RramfitError(msg) from None
        finally:
            theirs.close()

    @property
    def usable(self) -> bool:
        """Whether it belongs to this process and runs."""
        return self.owner == os.getpid() and self._process.poll() is None

    def fork(self) -> tuple[int, socket.socket]:
        """Start a reader; return its process id and the connection to it."""
        ours, theirs = socket.socketpair()
        try:
            with self._lock:
                socket.send_fds(self._commands, [FORK % 0], [theirs.fileno()])
                pid = self._answer(FORKED)
        except OSError:
            pid = None
        finally:
            theirs.close()
        if pid is None:
            ours.close()
            msg = "the process that reads HDF5 files did not start; h5py may not be importable"
            raise RramfitError(msg)
        return pid, ours

    def end(self, pid: int) -> int | None:
        """End a reader; return the signal that had ended it before, if any."""
        try:
            with self._lock:
                self._commands.sendall(END % pid)
                status = self._answer(ENDED)
        except OSError:
            return None
        return os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None

    def _answer(self, form: bytes) -> int | None:
        text = receive_exactly(self._commands, bytearray(len(form % 0)))
        return int(text[1:]) if text is not None and text[:1] == form[:1] else None

    def close(self) -> None:
        """End the process."""
        self._commands.close()
        if self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


_started: list[_Original] = []
_starting = threading.Lock()


def _original() -> _Original:
    with _starting:
        if _started and not _started[0].usable:
            _started.pop().close()
        if not _started:
            _started.append(_Original())
        return _started[0]


def prepare() -> None:
    """Start the original, so that it loads h5py while this process loads other modules."""
    _original()


@atexit.register
def _close() -> None:
    while _started:
        _started.pop().close()


class Reader:
    """The process that reads one file.

    Parameters
    ----------
    path : Path
    error : type of InputError
        Raised for whatever is wrong with the file.
    """

    def __init__(self, path: Path, error: type[InputError]) -> None:
        self._path, self._error = path, error
        self._limits = limits_for(path.stat().st_size)
        self._returned = 0
        self._lost: InputError | None = None
        self._from = _original()
        self._pid, self._connection = self._from.fork()

    def ask(self, where: str, request: dict[str, Any], buffer: Any = None) -> Any:
        """Return the answer to a request; data are received into `buffer`.

        Raises
        ------
        InputError
            Of the given type, whatever goes wrong.
        """
        if self._lost is not None:
            raise self._lost
        size = 0 if buffer is None else memoryview(buffer).nbytes
        self._returned += size
        self._connection.settimeout(self._limits.clock_time(self._returned))
        try:
            send(self._connection, request)
            answer = receive(self._connection)
            known = answer is not None and answer.get("bytes") == (0 if "error" in answer else size)
            if known and "ok" in answer:  # type: ignore[operator]
                known = not size or receive_exactly(self._connection, buffer) is not None
        except TimeoutError:
            raise self._lose(where, late=True) from None
        except (OSError, ValueError):
            answer, known = None, False
        if answer is None or not known:
            raise self._lose(where)
        if "error" in answer:
            raise self._rejected(where, answer["error"], answer["found"])
        return answer["ok"]

    def close(self) -> int | None:
        """End the process; return the signal that had ended it before, if any."""
        if self._pid < 0:
            return None
        self._connection.close()
        pid, self._pid = self._pid, -1
        return self._from.end(pid)

    def open(self, *, check: bool) -> bool | None:
        """Open the file; return whether its structure is the one that was written, if known."""
        request = {
            "do": "open",
            "path": os.path.abspath(self._path),  # noqa: PTH100  # a link stays as it is
            "seconds": self._limits.seconds,
            "memory": self._limits.memory,
            "check": check,
        }
        sealed: bool | None = self.ask("/", request)
        return sealed

    def _lose(self, where: str, *, late: bool = False) -> InputError:
        """Return the error of a process that is lost; every later request raises it again."""
        number = self.close()
        expected, remedy = "a file that HDF5 can read", _COPY_AGAIN
        if late:
            found = "a file that could not be read in time; the disk does not answer"
            remedy = f"try again later, or set {SECONDS} to more seconds"
        elif number == signal.SIGPROF:
            found = f"a file that HDF5 did not read in {self._seconds():.2g} s of processor time"
            remedy = f"{_COPY_AGAIN}; if it is sound, set {SECONDS} to more seconds"
        elif number == signal.SIGKILL:
            found = "a file whose reading the system ended (SIGKILL), probably for lack of memory"
        else:
            name = signal.Signals(number).name if number in set(signal.Signals) else number
            ended = "" if number is None else f" ({name})"
            found = f"a damaged HDF5 file, on which the HDF5 library crashed{ended}"
        self._lost = self._error(self._path, where, found=found, expected=expected, remedy=remedy)
        return self._lost

    def _seconds(self) -> float:
        return self._limits.processor_time(self._returned)

    def _rejected(self, where: str, kind: str, found: str) -> InputError:
        expected, remedy = "a readable dataset", f"{_COPY_AGAIN}, because it is damaged"
        if kind == "refused":
            expected, remedy = "data inside this file, as they were written", _COPY_AGAIN
        elif kind == "altered":
            found = "other values than those that rramfit wrote (their digest differs)"
            expected, remedy = "the values that were written", EDITED
        elif kind == "memory":
            limit = f"{self._limits.memory / 1e9:g} GB"
            found = f"data that need more than the {limit} of memory allowed for reading"
            remedy = f"if the size is right, set {GIGABYTES} to more"
        elif kind == "missing":
            found, expected, remedy = "no such object", "an object of the file", ""
        elif kind == "locked":
            found, expected = "a file that another program is writing", "a closed file"
            remedy = "close the file in the other program first"
        elif where == "/":
            found, expected = f"a damaged HDF5 file ({found})", "a file that HDF5 can read"
            remedy = _COPY_AGAIN
        else:
            found = f"data that HDF5 cannot decode ({found})"
        return self._error(self._path, where, found=found, expected=expected, remedy=remedy)
