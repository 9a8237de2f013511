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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card import ModelCard, Quantity, quantities
from rramfit.errors import InputError, OutputError, RramfitError
from rramfit.fitting.characterization import Characterization, characterize
from rramfit.measurement.convert import convert_measurement
from rramfit.measurement.layout import read_layout
from rramfit.measurement.layout_table import TableLayout
from rramfit.measurement.read import read_measurement
from rramfit.measurement.record import Measurement
from rramfit.provenance import check_folder, whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Outcome",
    "Written",
    "characterize_files",
    "lot_frame",
    "shared_quantities",
    "spread_frame",
    "write_lot",
]

_OUTLIER = 3.5  # |robust z| past which a chip is called an outlier (Iglewicz & Hoaglin, 1993)


@dataclass(frozen=True, slots=True)
class Written:
    """Files that one characterization left behind."""

    card: Path
    cells: Path
    report: Path | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one array: a card and what was written, or why it was refused."""

    path: Path  # the file it was read from, the first of several logs
    name: str  # the card's
    card: ModelCard | None
    written: Written | None
    error: str | None


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


def lot_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row an array: file, name, verdict, error, and every parameter's value by its key path."""
    import pandas as pd

    rows = []
    for outcome in outcomes:
        row: dict[str, object] = {
            "file": outcome.path.name,
            "name": outcome.name,
            "verdict": "refused",
        }
        row["problem"] = outcome.error or ""
        if outcome.card is not None:
            row["verdict"] = outcome.card.quality.verdict
            row["digest"] = outcome.card.digest
            row |= {
                f"levels[{i}].distribution.family": level.distribution.family
                for i, level in enumerate(outcome.card.levels)
                if level.distribution is not None
            }
            row |= {path: q.value for path, q in quantities(outcome.card) if q.stderr is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def spread_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row a parameter that at least two chips have: how it varies from chip to chip.

    A law's parameters are compared within its family, named in brackets: the shape of a gamma law
    is not that of a Weibull law.

    Columns: chips, median, mean, std (between chips, observed), within (root mean square of the
    chips' own standard errors), between (√(std² − within²), what the chips' own uncertainty does
    not explain), unit, and outliers: names of cards whose value lies more than 3.5 robust standard
    deviations (1.4826·MAD, at least the chip's own standard error) from the median.
    """
    import pandas as pd

    rows = {}
    for path, entries in shared_quantities(outcomes).items():
        value, error = (
            np.array([getattr(q, name) for _, q in entries], dtype=float)
            for name in ("value", "stderr")
        )
        within = float(np.sqrt(np.mean(error**2)))
        std = float(value.std(ddof=1))
        away = np.abs(value - np.median(value))
        scale = np.maximum(1.4826 * np.median(away), error)
        far = away > _OUTLIER * np.where(scale > 0, scale, np.inf)
        rows[path] = {
            "chips": len(entries),
            "median": float(np.median(value)),
            "mean": float(value.mean()),
            "std": std,
            "within": within,
            "between": float(np.sqrt(max(std**2 - within**2, 0.0))),
            "unit": entries[0][1].unit,
            "outliers": " ".join(name for (name, _), f in zip(entries, far, strict=True) if f),
        }
    columns = ["chips", "median", "mean", "std", "within", "between", "unit", "outliers"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def shared_quantities(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[str, Quantity]]]:
    """Give estimates that at least two chips have, by parameter: (card's name, estimate)."""
    found: dict[str, list[tuple[str, Quantity]]] = {}
    for outcome in outcomes:
        if outcome.card is None:
            continue
        families = {
            f"levels[{i}].distribution.": level.distribution.family
            for i, level in enumerate(outcome.card.levels)
            if level.distribution is not None
        }
        for path, q in quantities(outcome.card):
            if q.stderr is not None:
                family = next((f for head, f in families.items() if path.startswith(head)), None)
                key = path if family is None else f"{path} ({family})"
                found.setdefault(key, []).append((outcome.name, q))
    return {path: entries for path, entries in found.items() if len(entries) > 1}


def write_lot(outcomes: Sequence[Outcome], output: Path, *, report: bool = True) -> None:
    """Write ``lot.csv`` (see `lot_frame`) and, with `report`, ``lot.html`` into `output`."""
    with whole_file(output / "lot.csv") as beside:
        lot_frame(outcomes).to_csv(beside, index=False)
    if report:
        from rramfit.reporting.lot_report import lot_report

        lot_report(outcomes).save(output / "lot.html")
