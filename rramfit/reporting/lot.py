"""Many files: one card each, in the order given, and the lot they make.

With a layout, a lab's own files are read as it says: each tile of an array is a card of its own,
and logs that make up one measurement are one task. Work is parallel by processes, one file a task:
paths go out, small records come back, and the results are the same for any number of jobs. A file
that is refused is a row that says why, not the end.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rramfit.errors import InputError, OutputError, RramfitError
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Measurement
from rramfit.measurement.lab.convert import convert_measurement
from rramfit.measurement.lab.layout import read_layout
from rramfit.measurement.lab.layout_table import TableLayout
from rramfit.provenance import check_folder, whole_file
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
    """Characterize every file into `output`, `jobs` at a time; outcomes in the order given.

    Parameters
    ----------
    paths : sequence of Path
        Measurement files; with `layout`, a lab's own.
    output : Path
        Folder for the cards, the sidecars and the reports.
    layout : Path, optional
        TOML file that says what stands where in `paths`. Each tile of an array that it cuts is
        named FILE_tile0, FILE_tile1, …; where it tells read-outs apart by their log, all paths are
        one measurement, named after the first.
    name : str, optional
        The card's name, where there is one file or one measurement; by default the file's.
    seed, jobs : int
    report : bool
        Whether to write HTML too.
    on_stage : callable (str), optional
        Told what is being done, for progress.

    Raises
    ------
    OutputError
        If results cannot be written.
    InputError
        If two files would write the same card, one name is to serve several, or the layout file
        is refused.
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
            expected="one card a file",
            remedy="leave the name out",
        )
    names = [name or Path(first.name.removesuffix(".gz")).stem for first, *_ in several]
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            output,
            f"{twice[0]}.card.json",
            found=f"{names.count(twice[0])} files that would write it",
            expected="one card a file",
            remedy="rename the files, or characterize them into different folders",
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
    """Characterize what one file holds: one array, or each of its tiles."""
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
            outcomes.append(Outcome(files[0], name, result.card, written, None))
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
    with whole_file(output / "lot.csv") as beside:
        lot_frame(outcomes).to_csv(beside, index=False)
    if report:
        from rramfit.reporting.lot_report import lot_report

        lot_report(outcomes).save(output / "lot.html")
