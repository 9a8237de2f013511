"""A child process that makes calls for its parent, one at a time, and may be lost at any of them.

`subprocess` rather than `multiprocessing`: the processes of a Dask cluster are daemons, which
`multiprocessing` does not allow to have children, and a script without a main guard works too.

A task whose process ended is tried once more in a fresh one: a process may have been killed for
what others did. A second end is blamed on the task. A task that takes too long is not repeated.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rramfit.errors import RramfitError
from rramfit.workers.serve import receive, send

__all__ = ["Child", "Lost", "call_twice"]

_TRIES = 2

_GRACE = 3.0  # [s] between asking a process to end and killing it
_TAIL = 20_000  # bytes of standard error that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A call without result.

    Attributes
    ----------
    how : {"raised", "died", "too long"}
    summary : str
        "ValueError: …", "signal SIGSEGV", "exit code 1" or "600 s".
    text : str
        The full traceback, or what the process wrote to standard error.
    error : RramfitError, optional
        The exception, if it was one of rramfit.
    """

    how: Literal["raised", "died", "too long"]
    summary: str
    text: str = ""
    error: RramfitError | None = None


class Child:
    """A process for calls of importable functions; started at the first call and when lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: Any = None
        self._lock = threading.Lock()  # of the fields
        self._calling = threading.Lock()
        self._closed = False

    def call(
        self,
        function: Callable[..., Any],
        *arguments: object,
        limit: float | None = None,
        folder: str | None = None,
    ) -> Any:
        """Return ``function(*arguments)``, or `Lost`.

        Parameters
        ----------
        function : callable
            Importable by name; arguments and result must be picklable.
        limit : float, optional
            Longest time [s]; the process is ended after it.
        folder : str, optional
            Working directory of the call; by default that of this process.
        """
        with self._calling:
            return self._call(function, arguments, limit, folder)

    def _call(
        self,
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        limit: float | None,
        folder: str | None,
    ) -> Any:
        process = self._started()
        if process is None or process.stdin is None or process.stdout is None:
            return Lost(how="died", summary="stopped")
        late = threading.Event()

        def end() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(limit, end) if limit is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        answer = None
        try:
            with contextlib.suppress(OSError, ValueError):
                send(process.stdin, pickle.dumps((function, arguments, folder or str(Path.cwd()))))
                answer = receive(process.stdout)
        finally:
            if timer is not None:
                timer.cancel()
        if answer is None:
            code = process.wait()
            text = self._standard_error()
            self._forget()
            if late.is_set():
                return Lost(how="too long", summary=f"{limit:g} s", text=text)
            return Lost(how="died", summary=_reason(code), text=text)
        kind, *content = pickle.loads(answer)  # from our own child
        if kind == "done":
            return content[0]
        error, summary, text = content
        return Lost(how="raised", summary=summary, text=text, error=error)

    def close(self) -> None:
        """End the process; a call in progress returns `Lost`, and no other starts."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            _end(process)
            with self._calling:
                self._forget()

    @property
    def closed(self) -> bool:
        """Whether the child takes no more calls."""
        return self._closed

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""
        return None if self._process is None else self._process.pid

    def _started(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._closed:
                return None
            if self._process is None or self._process.poll() is not None:
                code = (
                    f"import sys; sys.path[:] = {sys.path!r}; "
                    "from rramfit.workers.serve import serve; serve()"
                )
                self._errors = tempfile.TemporaryFile()  # noqa: SIM115
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                )
            return self._process

    def _standard_error(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - _TAIL, 0))
        text: str = self._errors.read().decode("utf-8", "replace")
        return text

    def _forget(self) -> None:
        with self._lock:
            if self._process is not None:
                for stream in (self._process.stdin, self._process.stdout, self._errors):
                    with contextlib.suppress(OSError):
                        if stream is not None:
                            stream.close()
            self._process = None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and kill it if it does not react."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def call_twice(
    child: Child,
    function: Callable[..., Any],
    task: tuple[Any, ...],
    limit: float | None,
    folder: str | None = None,
) -> Any:
    """Call the function in a child, again if the child ends before it returns."""
    found = None
    for _ in range(_TRIES):
        found = child.call(function, *task, limit=limit, folder=folder)
        if not (isinstance(found, Lost) and found.how == "died"):
            break
    return found
