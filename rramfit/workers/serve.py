"""The other side of a `Child`: takes calls from standard input, and returns results.

A message is its length in 8 bytes and a pickle. A call is (function, arguments, folder); its answer
("done", result) or ("raised", exception or None, "Type: message", traceback). Standard output then
leads to standard error, so that nothing a library prints can mix with an answer. If the parent is
gone, the process stops as if it had been asked to: files that it is writing are removed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import IO

from rramfit.errors import RramfitError

__all__ = ["LENGTH", "receive", "send", "serve"]

LENGTH = 8
_GRACE = 5.0  # [s] to remove unfinished files


def send(stream: IO[bytes], message: bytes) -> None:
    """Write one message."""
    stream.write(len(message).to_bytes(LENGTH, "big") + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read one message; None at the end of the stream, also in the middle of a message."""
    head = stream.read(LENGTH)
    length = int.from_bytes(head, "big")
    message = stream.read(length) if len(head) == LENGTH else b""
    return message if len(head) == LENGTH and len(message) == length else None


def serve() -> None:
    """Answer calls until standard input ends."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable(all_threads=False)
    gc.set_threshold(100_000, 50, 100)  # as in the command line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, _stop)
    waiting: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_take, args=(calls, waiting), daemon=True).start()
    while (call := waiting.get()) is not None:
        answer = _answer(call)
        with contextlib.suppress(BrokenPipeError):
            send(answers, answer)


def _stop(*_: object) -> None:
    sys.exit(0)


def _take(calls: IO[bytes], waiting: queue.Queue[bytes | None]) -> None:
    """Queue the calls; without a parent, end the process."""
    while (call := receive(calls)) is not None:
        waiting.put(call)
    waiting.put(None)
    with contextlib.suppress(OSError):
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_GRACE)
    os._exit(1)


def _answer(call: bytes) -> bytes:
    try:
        function, arguments, folder = pickle.loads(call)  # from the parent process
        with contextlib.suppress(OSError):  # on a machine of a cluster it may not exist
            os.chdir(folder)
        return pickle.dumps(("done", function(*arguments)))
    except Exception as e:  # noqa: BLE001  # the parent reports it
        known = e if isinstance(e, RramfitError) else None
        summary = "".join(traceback.format_exception_only(e)).strip()
        return pickle.dumps(("raised", known, summary, traceback.format_exc()))
