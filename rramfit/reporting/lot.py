"""Characterize many files: one card per array, in the order given, and a summary of the lot.

A layout describes files in a lab's own format: each tile of an array gets a card, and logs that
form one measurement are one task. Tasks run in parallel processes, one file per task; the results
are the same for any number of jobs. A rejected file is a row with its error; the other files are
still characterized.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rramfit.errors import InputError, OutputError, RramfitError
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.fitting.result import rank_findings
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Measurement
from rramfit.measurement.lab.convert import convert_measurement
from rramfit.measurement.lab.layout import read_layout
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.provenance import atomic_file, check_folder
from rramfit.reporting.lot_outcomes import Outcome, Written, lot_frame

__all__ = ["characterize_files", "write_lot"]


def characterize_files(
    paths: Sequence[Path],
    *,
    output: Path,
    layout: Path | None = None,
    name: str | None = None,
    seed: int = 0,
    jobs: int = 1,
    report: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Characterize every file into `output`, `jobs` at a time; return the outcomes in order.

    Parameters
    ----------
    paths : sequence of Path
        Measurement files; with `layout`, files in a lab's own format.
    output : Path
        Folder for cards, per-cell files and reports.
    layout : Path, optional
        TOML file that describes the format of `paths`. Tiles of an array are named FILE_tile0,
        FILE_tile1, …; if the layout assigns one log to each read-out, all paths are one
        measurement, named after the first.
    name : str, optional
        Name of the card, for one file or one measurement; by default the file name.
    seed, jobs : int
    report : bool
        Whether to write HTML reports.
    on_stage : callable (str), optional
        Called with the name of each stage, to show progress.

    Raises
    ------
    OutputError
        If the results cannot be written.
    InputError
        If two files would write the same card, one name is given for several, or the layout file
        is invalid.
    """
    several: list[tuple[Path, ...]] = [(path,) for path in paths]
    if layout is not None:
        lab = read_layout(layout)
        if isinstance(lab, TableLayout) and lab.joins_files:
            several = [tuple(paths)]
    if name is not None and len(several) > 1:
        raise InputError(
            output,
            f"{name}.card.json",
            found=f"one name for {len(several)} files",
            expected="one card per file",
            remedy="omit the name",
        )
    names = [name or Path(first.name.removesuffix(".gz")).stem for first, *_ in several]
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            output,
            f"{twice[0]}.card.json",
            found=f"{names.count(twice[0])} files with this name",
            expected="one card per file",
            remedy="rename the files, or write to different folders",
        )
    check_folder(output)
    one = functools.partial(
        _characterize_one, output=output, layout=layout, seed=seed, report=report
    )
    tasks = list(zip(several, names, strict=True))
    if jobs == 1 or len(tasks) == 1:
        return [o for files, stem in tasks for o in one(files, stem, on_stage=on_stage)]
    import joblib

    on_stage(f"{len(tasks)} files, {jobs} at a time")
    found = joblib.Parallel(n_jobs=jobs)(joblib.delayed(one)(*task) for task in tasks)
    return [outcome for outcomes in found for outcome in outcomes]


def _characterize_one(
    files: tuple[Path, ...],
    stem: str,
    *,
    output: Path,
    layout: Path | None,
    seed: int,
    report: bool,
    on_stage: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Characterize the array in one file, or each of its tiles."""
    on_stage(f"reading {files[0].name}")
    try:
        measurements = _read(files, layout)
    except RramfitError as e:
        return [Outcome(files[0], stem, None, None, str(e))]
    outcomes = []
    for measurement in measurements:
        tile = None if measurement.origin is None else measurement.origin.tile
        name = stem if tile is None else f"{stem}_tile{tile}"
        try:
            result = characterize(measurement, name=name, seed=seed, on_stage=on_stage)
            written = _write(result, output, report=report, on_stage=on_stage)
        except OutputError:
            raise
        except RramfitError as e:
            outcomes.append(Outcome(files[0], name, None, None, str(e)))
        else:
            findings = tuple(rank_findings(result.verdicts))
            outcomes.append(Outcome(files[0], name, result.card, written, None, findings))
    return outcomes


def _read(files: tuple[Path, ...], layout: Path | None) -> tuple[Measurement, ...]:
    if layout is None:
        return (read_measurement(files[0]),)
    return convert_measurement(files, layout).measurements


def _write(
    result: Characterization, output: Path, *, report: bool, on_stage: Callable[[str], None]
) -> Written:
    card, cells = result.save(output)
    page = None
    if report:
        from rramfit.reporting.characterization import save_report

        on_stage("report")
        page = output / f"{result.card.name}.report.html"
        save_report(result, page)
    return Written(card, cells, page)


def write_lot(outcomes: Sequence[Outcome], output: Path, *, report: bool = True) -> None:
    """Write ``lot.csv`` (see `lot_frame`) and, with `report`, ``lot.html`` into `output`."""
    with atomic_file(output / "lot.csv") as beside:
        lot_frame(outcomes).to_csv(beside, index=False)
    if report:
        from rramfit.reporting.lot_report import lot_report

        lot_report(outcomes).save(output / "lot.html")
