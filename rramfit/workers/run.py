"""Run a list of tasks, in local children or on a cluster; results come as they are ready."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rramfit.workers.child import Child, Lost, call_twice

__all__ = ["run_tasks"]


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    limit: Callable[[int], float | None] = lambda _: None,
) -> Iterator[tuple[int, Any]]:
    """Yield (position of the task, result or `Lost`) in the order of completion.

    Parameters
    ----------
    function : callable
        Importable by name; called with the arguments of each task.
    tasks : sequence of tuple
    jobs : int
        Number of child processes.
    scheduler : str, optional
        Address of a Dask scheduler, to run the tasks on its workers instead.
    limit : callable (position), optional
        Longest time of a task [s].

    Raises
    ------
    WorkersError
        If the cluster cannot be used, or its scheduler is lost.
    """
    if scheduler is not None:
        from rramfit.workers.cluster import run_on_cluster

        yield from run_on_cluster(function, tasks, scheduler=scheduler, limit=limit)
        return
    positions = iter(range(len(tasks)))
    lock, stop = threading.Lock(), threading.Event()
    results: queue.Queue[tuple[int, Any]] = queue.Queue()
    children = [Child() for _ in range(min(jobs, len(tasks)))]

    def work(child: Child) -> None:
        while not stop.is_set():
            with lock:
                at = next(positions, None)
            if at is None:
                return
            try:
                found = call_twice(child, function, tasks[at], limit(at))
            except Exception as e:  # noqa: BLE001  # as when no process can be started
                found = Lost(how="died", summary=f"{type(e).__name__}: {e}")
            results.put((at, found))

    threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in children]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            yield results.get()
    finally:
        stop.set()
        enders = [threading.Thread(target=child.close) for child in children]
        for ender in enders:
            ender.start()
        for thread in (*enders, *threads):
            with contextlib.suppress(RuntimeError):  # not started
                thread.join()
