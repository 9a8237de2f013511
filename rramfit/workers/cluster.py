"""Tasks on the workers of a running Dask cluster.

Each thread of a Dask worker has its own child process for the tasks, so that a crash or an endless
loop costs one task and not the worker. If a worker is lost, Dask gives its tasks to the others.
Files must be at the same paths on all machines.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rramfit.errors import WorkersError
from rramfit.provenance import package_version
from rramfit.workers.child import Child, Lost, call_twice

__all__ = ["close_children", "run_on_cluster"]

_CONNECT = 15  # [s]

_children = threading.local()
_all_children: list[Child] = []


def run_on_cluster(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    *,
    scheduler: str,
    limit: Callable[[int], float | None] = lambda _: None,
) -> Iterator[tuple[int, Any]]:
    """Yield (position of the task, result or `Lost`) in the order of completion.

    Raises
    ------
    WorkersError
        If Dask is not installed, there is no scheduler at the address, it has no worker, a worker
        has another version of rramfit, or the scheduler is lost.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        msg = "--scheduler needs Dask. Install it with `pip install rramfit[dask]`."
        raise WorkersError(msg) from None
    folder, run = str(Path.cwd()), secrets.token_hex(4)
    try:
        client = Client(scheduler, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as e:
        msg = f"no Dask scheduler answers at {scheduler} ({e}). Check the address, then start it."
        raise WorkersError(msg) from None
    with client:
        _check_workers(client, scheduler)
        futures = {
            client.submit(
                _in_child, function, task, limit(at), folder, key=f"rramfit-{run}-{at}", pure=False
            ): at
            for at, task in enumerate(tasks)
        }
        try:
            for future in as_completed(list(futures), loop=client.loop):
                at = futures.pop(future)
                if future.status == "finished":
                    yield at, future.result()
                elif future.status == "error":
                    error = future.exception()
                    yield at, Lost(how="died", summary=f"{type(error).__name__}: {error}")
                else:
                    msg = (
                        f"the Dask scheduler at {scheduler} was lost. What is done is kept: start "
                        "a scheduler, and run the command again with --resume."
                    )
                    raise WorkersError(msg)
                future.release()
        finally:
            with contextlib.suppress(Exception):
                client.cancel(list(futures))
                client.run(close_children)


def _check_workers(client: Any, scheduler: str) -> None:
    """Check that there are workers and that they have this version of rramfit."""
    try:
        versions = client.run(package_version)
    except Exception as e:  # noqa: BLE001  # raised on a worker: any import can fail there
        msg = (
            f"a worker of {scheduler} cannot import rramfit ({type(e).__name__}: {e}). Install "
            "this version of rramfit on every worker."
        )
        raise WorkersError(msg) from None
    if not versions:
        msg = f"the Dask scheduler at {scheduler} has no worker. Start workers first."
        raise WorkersError(msg)
    here = package_version()
    other = {address: v for address, v in versions.items() if v != here}
    if other:
        address, version = next(iter(other.items()))
        msg = (
            f"worker {address} has rramfit {version}, this command is {here}. Install the same "
            "version on every worker."
        )
        raise WorkersError(msg)


def _in_child(
    function: Callable[..., Any], task: tuple[Any, ...], limit: float | None, folder: str
) -> Any:
    """On a worker: call the function in the child of this thread."""
    child = getattr(_children, "child", None)
    if child is None or child.closed:
        child = _children.child = Child()
        _all_children.append(child)
    return call_twice(child, function, task, limit, folder)


def close_children() -> None:
    """On a worker: end the children of all threads."""
    while _all_children:
        _all_children.pop().close()
