"""A real Dask scheduler and two workers on loopback; one of them is killed in mid-run."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rramfit.errors import WorkersError
from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.lots import LotSettings, characterize_lot, plan_tasks
from rramfit.workers import run_tasks

WAIT = 60  # [s]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, tasks):
    """Return the address of the scheduler, and the processes of its workers."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    path = str(Path(tasks.__file__).parent)
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", *arguments]
        with (folder / f"{len(started)}.log").open("w") as log:
            started.append(
                subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment(path))
            )
        return started[-1]

    local = ("--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard")
    start("distributed.cli.dask_scheduler", *local, "--port", "0")
    worker = ("distributed.cli.dask_worker", *local, "--nthreads", "1", "--no-nanny")
    workers = [start(*worker) for _ in range(2)]
    end = time.monotonic() + WAIT
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    from distributed import Client

    with Client(address, timeout=WAIT, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=WAIT)
    yield address, workers
    for process in reversed(started):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def environment(path):
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_every_task_is_answered(cluster, tasks):
    address, _ = cluster
    given = [(("ok", 1),), (("fail", 2),), (("end", 3),), (("ok", 4),)]
    found = dict(run_tasks(tasks.step, given, scheduler=address))
    assert (found[0], found[3]) == (2, 8)
    assert (found[1].how, found[2].how) == ("raised", "died")
    slow = dict(run_tasks(tasks.sleep, [(600,)], scheduler=address, limit=lambda _: 0.5))
    assert slow[0].how == "too long"


def test_another_version_on_a_worker_is_an_error(cluster, monkeypatch):
    monkeypatch.setattr("rramfit.provenance.metadata.version", lambda _: "0.0.1")
    with pytest.raises(WorkersError, match=r"this command is 0\.0\.1"):
        list(run_tasks(print, [("x",)], scheduler=cluster[0]))


def test_a_lot_with_a_worker_killed_in_mid_run_is_the_same(cluster, tmp_path):
    address, (worker, _) = cluster
    paths = []
    for i in range(5):
        paths.append(tmp_path / f"die{i}.h5")
        write_measurement(
            synthesize(random_card(i, levels=2, array=(12, 10)), sweeps=4, seed=i), paths[-1]
        )
    paths[3].write_text("not HDF5")

    def kill(progress):
        if progress.done == 1:
            worker.kill()

    results = {}
    for name, where in {"here": {}, "there": {"scheduler": address, "on_progress": kill}}.items():
        output = tmp_path / name
        settings = LotSettings(output=output, report=False)
        with characterize_lot(plan_tasks(paths, output=output), settings, **where) as run:
            assert [row.verdict for row in run][3] == "refused"
        results[name] = {p.name: p.read_bytes() for p in output.iterdir()}
    assert worker.wait(WAIT) != 0
    assert results["here"] == results["there"]
    assert len(results["here"]) == 4 * 2 + 1
