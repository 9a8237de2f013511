"""Lots on bad days: damaged files, errors of rramfit, dead and endless processes, interrupts.

Tasks run in child processes, which import a stand-in for `characterize_task` from a module that
misbehaves for some names of files.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from rramfit.errors import InputError
from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.lots import (
    LotSettings,
    LotTable,
    characterize_lot,
    lot_report,
    merge_lots,
    plan_tasks,
)
from rramfit.workers import Shard

STAND_IN = """
import os, signal, time
from rramfit.reporting.lots import one_task

def characterize_task(task, settings):
    name = task.name.partition("-")[0]
    if name == "bug":
        one_task.characterize = divide
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "endless":
        time.sleep(600)
    elif name == "lost":
        raise IndexError("in a worker")
    return one_task.characterize_task(task, settings)

def divide(measurement, **_):
    one_task.characterize = REAL
    return 1 / (measurement.rows - measurement.rows)

REAL = one_task.characterize
"""


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """Three sound files and one that is not HDF5, in a fixed order."""
    folder = tmp_path_factory.mktemp("chips")
    for i, name in enumerate("abcd"):
        chip = synthesize(random_card(i, levels=2, array=(12, 10)), sweeps=4, seed=i)
        write_measurement(chip, folder / f"{name}.h5")
    (folder / "b.h5").write_text("not HDF5")
    return [folder / f"{name}.h5" for name in "abcd"]


@pytest.fixture(scope="module")
def whole(chips, tmp_path_factory):
    """The lot in one run: bytes of all files by name."""
    output = tmp_path_factory.mktemp("whole")
    return lot(chips, output)


def lot(paths, output, **options):
    settings = LotSettings(output=output, **options.pop("settings", {"report": False}))
    with characterize_lot(plan_tasks(paths, output=output), settings, **options) as run:
        assert len(list(run)) == len(paths) or run.interrupted or "shard" in options
    return contents(output)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "stand_in_task.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("stand_in_task", None)
    import stand_in_task

    monkeypatch.setattr(
        "rramfit.reporting.lots.lot.characterize_task", stand_in_task.characterize_task
    )


def test_a_lot_goes_on_whatever_a_file_does(chips, tmp_path, stand_in, monkeypatch):
    names = ("a", "bug", "killed", "b", "endless", "lost", "d")
    paths = []
    for name in names:
        paths.append(tmp_path / f"{name}.h5")
        source = chips[0].with_name(f"{name if len(name) == 1 else 'a'}.h5")
        paths[-1].write_bytes(source.read_bytes())
    output = tmp_path / "out"
    seen = []
    monkeypatch.setattr(
        "rramfit.reporting.lots.lot.time_limit",
        lambda task, _: 2.0 if task.name == "endless" else 600.0,
    )
    settings = LotSettings(output=output, report=False)
    tasks = plan_tasks(paths, output=output)
    with characterize_lot(tasks, settings, jobs=2, on_progress=seen.append) as run:
        rows = list(run)
    assert [row.verdict for row in rows[1:6]] == ["failed", "failed", "refused", "failed", "failed"]
    assert rows[0].has_card
    assert rows[6].has_card
    assert [p.done for p in seen] == list(range(1, 8))
    assert (seen[-1].total, seen[-1].without_card) == (7, 5)
    bug, killed, _, endless, lost = (row.problem for row in rows[1:6])
    assert "ZeroDivisionError: division by zero (id " in bug
    assert f"Please report it with {output / 'bug.error.txt'}." in bug
    text = (output / "bug.error.txt").read_text()
    assert bug.partition("(id ")[2][:8] in text
    assert "in divide" in text
    assert "signal SIGKILL" in killed
    assert "2 s" in endless
    assert "--time-limit" in endless
    assert "IndexError: in a worker" in lost
    table = pd.read_csv(output / "lot.csv")
    assert list(table["name"]) == list(names)
    assert list(table["problem"].fillna("")) == [row.problem for row in rows]
    page = lot_report(LotTable.of(rows)).to_html()
    assert "7\u00a0arrays: 2 characterized, 1 rejected, 4 failed." in page
    assert not list(output.glob(".*"))


def test_an_error_of_rramfit_in_a_single_file_is_one_sentence(chips, tmp_path, run, monkeypatch):
    def divide(*_, **__):
        return 1 / 0

    monkeypatch.setattr("rramfit.reporting.lots.one_task.characterize", divide)
    done = run("characterize", chips[0], "-o", tmp_path)
    assert done.exit_code == 3
    assert "an error of rramfit, not of the file: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "a.error.txt").read_text()
    monkeypatch.undo()
    assert run("characterize", chips[0], "-o", tmp_path, "--no-report").exit_code in (0, 4)
    assert not (tmp_path / "a.error.txt").exists()


def test_damaged_files_in_a_lot(shared, chips, tmp_path):
    names = ("segfault.h5", "endless.h5")
    paths = [chips[0], *(shared / "cases/damaged" / name for name in names)]
    settings = LotSettings(output=tmp_path / "out", report=False)
    with characterize_lot(plan_tasks(paths, output=settings.output), settings, jobs=2) as run:
        rows = list(run)
    assert [row.has_card for row in rows] == [True, False, False]
    for row, path in zip(rows[1:], paths[1:], strict=True):
        assert str(path) in row.problem


def test_resuming_does_only_what_is_missing_or_changed(chips, whole, tmp_path):
    def changed():
        return {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.card.json")}

    resume = {"jobs": 2, "settings": {"report": False, "resume": True}}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    before = changed()
    assert lot(chips, tmp_path, **resume) == whole
    assert changed() == before
    card, cells = tmp_path / "a.card.json", tmp_path / "c.cells.h5"
    card.write_text(card.read_text().replace('"rramfit_version": "', '"rramfit_version": "0'))
    cells.write_bytes(cells.read_bytes()[:-1] + b"x")
    assert lot(chips, tmp_path, **resume) == whole
    again = {p.name for p, at in changed().items() if at != before[p]}
    assert again == {"a.card.json", "c.card.json"}


def test_resuming_with_another_seed_or_file_keeps_no_card(chips, tmp_path):
    def verdicts(paths, **settings):
        settings = LotSettings(output=tmp_path, report=False, **settings)
        with characterize_lot(plan_tasks(paths, output=tmp_path), settings) as run:
            return [row.kept for row in run]

    verdicts([chips[0], chips[2]])
    assert verdicts([chips[0], chips[2]], resume=True) == [True, True]
    other = tmp_path / "other" / "a.h5"
    other.parent.mkdir()
    other.write_bytes(chips[3].read_bytes())
    assert verdicts([other, chips[2]], resume=True) == [False, True]
    assert verdicts([chips[2], other], resume=True, seed=1) == [False, False]


def test_resuming_writes_a_report_that_is_missing_or_old(chips, tmp_path, run):
    run("characterize", chips[0], "-o", tmp_path, "--no-report")
    page = tmp_path / "a.report.html"
    for old in (None, "<!DOCTYPE html>"):
        if old:
            page.write_text(old)
        done = run("characterize", chips[0], "-o", tmp_path, "--resume", "--force")
        assert "Kept" not in done.stdout
        assert "sha256:" in page.read_text()
    assert "Kept from" in run("characterize", chips[0], "-o", tmp_path, "--resume").stdout


def test_shards_merge_to_the_lot_of_one_run(chips, whole, tmp_path, run):
    common = ("characterize", *chips)
    for i, folder in ((1, "one"), (2, "two"), (3, "two")):
        done = run(*common, "-o", tmp_path / folder, "--shard", f"{i}/3", "--no-report")
        assert done.exit_code == (3 if i == 2 else 0)
    output = tmp_path / "merged"
    done = run("lot", "merge", tmp_path / "two", tmp_path / "one", "-o", output)
    assert done.exit_code == 3
    merged_files = contents(output)
    page = merged_files.pop("lot.html").decode()
    assert merged_files == whole
    assert "4\u00a0arrays: 3 characterized, 1 rejected." in page
    again = run("lot", "merge", output, "-o", tmp_path / "again")
    assert again.exit_code == 3
    assert contents(tmp_path / "again") == contents(output)


def test_a_missing_shard_is_named(chips, tmp_path, run):
    for i in (1, 3):
        run("characterize", *chips, "-o", tmp_path, "--shard", f"{i}/3", "--no-report")
    done = run("lot", "merge", tmp_path, "-o", tmp_path / "merged")
    assert done.exit_code == 3
    assert "shards 1/3, 3/3" in done.stderr
    assert "--shard 2/3" in done.stderr
    assert not (tmp_path / "merged" / "lot.csv").exists()


def test_a_slurm_array_deals_out_the_files(chips, whole, tmp_path, run, monkeypatch):
    for at in (0, 1):
        for key, value in {"ID": at, "COUNT": 2, "MIN": 0, "MAX": 1, "STEP": 1}.items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{key}", str(value))
        done = run("characterize", *chips, "-o", tmp_path, "--no-report")
        assert f"Shard {at + 1}/2 of 4 files" in done.stderr
    single = run("characterize", chips[1], "-o", tmp_path / "single", "--no-report")
    assert "Shard" not in single.stderr
    monkeypatch.undo()
    run("lot", "merge", tmp_path, "-o", tmp_path, "--no-report")
    assert {k: v for k, v in contents_of_files(tmp_path).items() if "-of-" not in k} == whole


def contents_of_files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_cards_of_single_runs_merge_too(chips, tmp_path, run):
    for path in (chips[0], chips[2]):
        run("characterize", path, "-o", tmp_path / path.stem, "--no-report")
    done = run("lot", "merge", tmp_path / "a", tmp_path / "c", "-o", tmp_path / "all", "--json")
    assert done.exit_code in (0, 4)
    assert [row["name"] for row in json.loads(done.stdout)["files"]] == ["a", "c"]
    twice = run("lot", "merge", tmp_path / "a", tmp_path / "all", "-o", tmp_path / "more")
    assert twice.exit_code == 3
    assert "a second array with this name" in twice.stderr
    (tmp_path / "empty").mkdir()
    assert run("lot", "merge", tmp_path / "empty", "-o", tmp_path / "x").exit_code == 3


@pytest.mark.parametrize(
    "damaged",
    [
        "{head}",
        "{head}\n[99, {{}}]",
        "{head}\n[0, 1]",
        "{head}\n{outside}",
        '{{"rramfit_lot": 2}}',
        "\xff",
        "",
    ],
)
def test_a_damaged_shard_is_rejected(chips, tmp_path, damaged):
    lot(chips, tmp_path, shard=Shard(1, 1))
    path = tmp_path / "lot.1-of-1.jsonl"
    head, row, *_ = path.read_text().splitlines()
    outside = row.replace("a.card.json", "../a.card.json")
    path.write_text(damaged.format(head=head, outside=outside), encoding="latin-1")
    with pytest.raises(InputError):
        merge_lots([tmp_path], tmp_path / "merged")
    assert not (tmp_path / "merged" / "lot.csv").exists()


def test_files_from_a_list(chips, whole, tmp_path, run):
    listed = tmp_path / "files.txt"
    listed.write_text("\n".join(map(str, chips[1:])) + "\n\n")
    done = run(
        "characterize", chips[0], "--files-from", listed, "-o", tmp_path / "out", "--no-report"
    )
    assert done.exit_code == 3
    assert contents(tmp_path / "out") == whole
    listed.write_bytes(b"\0".join(os.fsencode(p) for p in (chips[0], tmp_path / "gone.h5")))
    done = run("characterize", "--files-from", listed, "-o", tmp_path / "two", "--no-report")
    assert done.exit_code == 3
    assert "gone.h5: found no such file" in done.stderr
    assert (tmp_path / "two/a.card.json").exists()
    listed.write_text("\n")
    assert run("characterize", "--files-from", listed).exit_code == 3
    assert run("characterize").exit_code == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_is_done(chips, whole, tmp_path, signum):
    command = [str(Path(sys.executable).with_name("rramfit")), "characterize", *map(str, chips)]
    command += ["-o", str(tmp_path), "--no-report"]
    for _ in range(3):  # on a busy machine the lot can end before the signal
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while not (tmp_path / "a.card.json").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signum)
        _, error = process.communicate(timeout=60)
        if process.returncode == 130:
            break
        for path in tmp_path.iterdir():
            path.unlink()
    assert process.returncode == 130, error
    assert "of 4 files are done and kept" in error
    assert "--resume" in error
    assert not list(tmp_path.glob(".*"))
    rows = (tmp_path / "lot.csv").read_text().splitlines()
    assert rows[0].startswith("file,name,verdict,problem")
    resume = {"settings": {"report": False, "resume": True}}
    assert lot(chips, tmp_path, **resume) == whole


def test_the_table_can_be_read_while_the_lot_runs(chips, tmp_path, monkeypatch):
    monkeypatch.setattr("rramfit.reporting.lots.lot._FIRST", 0.0)
    monkeypatch.setattr("rramfit.reporting.lots.lot._SHARE_OF_TIME", 0.0)
    lengths = []

    def count(_):
        table = tmp_path / "lot.csv"
        lengths.append(len(pd.read_csv(table)) if table.exists() else 0)

    lot(chips, tmp_path, on_progress=count)
    assert lengths == [0, 1, 2, 3]
