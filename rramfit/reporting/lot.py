"""Many files: one card each, in the order given, and the lot they make.

Work is parallel by processes, one file a task: paths go out, small records come back, and the
results are the same for any number of jobs. A file that is refused is a row that says why, not the
end.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rramfit.card import ModelCard, quantities
from rramfit.errors import InputError, OutputError, RramfitError
from rramfit.fitting.characterization import characterize
from rramfit.provenance import check_folder, whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome", "Written", "characterize_files", "lot_frame", "spread_frame", "write_lot"]

_OUTLIER = 3.5  # |robust z| past which a chip is called an outlier (Iglewicz & Hoaglin, 1993)


@dataclass(frozen=True, slots=True)
class Written:
    """Files that one characterization left behind."""

    card: Path
    cells: Path
    report: Path | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: a card and what was written, or why it was refused."""

    path: Path
    card: ModelCard | None
    written: Written | None
    error: str | None


def characterize_files(
    paths: Sequence[Path],
    *,
    output: Path,
    name: str | None = None,
    seed: int = 0,
    jobs: int = 1,
    report: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Characterize every file into `output`, `jobs` at a time; outcomes in the order given.

    Raises
    ------
    OutputError
        If results cannot be written.
    InputError
        If two files would write the same card.
    """
    names = [name or path.name.removesuffix(".h5") for path in paths]
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
    one = functools.partial(_characterize_one, output=output, seed=seed, report=report)
    if jobs == 1 or len(paths) == 1:
        return [one(p, n, on_stage=on_stage) for p, n in zip(paths, names, strict=True)]
    import joblib

    on_stage(f"{len(paths)} files, {jobs} at a time")
    tasks = (joblib.delayed(one)(p, n) for p, n in zip(paths, names, strict=True))
    return list(joblib.Parallel(n_jobs=jobs)(tasks))


def _characterize_one(
    path: Path,
    name: str,
    *,
    output: Path,
    seed: int,
    report: bool,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Outcome:
    try:
        result = characterize(path, name=name, seed=seed, on_stage=on_stage)
        card, cells = result.save(output)
        page = None
        if report:
            from rramfit.reporting.characterization import save_report

            on_stage("report")
            page = output / f"{name}.report.html"
            save_report(result, page)
    except OutputError:
        raise
    except RramfitError as e:
        return Outcome(path, None, None, str(e))
    return Outcome(path, result.card, Written(card, cells, page), None)


def lot_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row a file: verdict, error, and every parameter's value by its key path."""
    import pandas as pd

    rows = []
    for outcome in outcomes:
        row: dict[str, object] = {"file": outcome.path.name, "verdict": "refused"}
        row["problem"] = outcome.error or ""
        if outcome.card is not None:
            row["verdict"] = outcome.card.quality.verdict
            row["digest"] = outcome.card.digest
            row |= {path: q.value for path, q in quantities(outcome.card) if q.stderr is not None}
        rows.append(row)
    return pd.DataFrame(rows)


def spread_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row a parameter that at least two chips have: how it varies from chip to chip.

    Columns: chips, median, mean, std (between chips, observed), within (root mean square of the
    chips' own standard errors), between (√(std² − within²), what the chips' own uncertainty does
    not explain), unit, and outliers: files whose value lies more than 3.5 robust standard
    deviations (1.4826·MAD, at least the chip's own standard error) from the median.
    """
    import pandas as pd

    found: dict[str, list[tuple[str, float, float, str]]] = {}
    for outcome in outcomes:
        if outcome.card is None:
            continue
        for path, q in quantities(outcome.card):
            if q.stderr is not None:
                found.setdefault(path, []).append((outcome.path.name, q.value, q.stderr, q.unit))
    rows = {}
    for path, entries in found.items():
        if len(entries) < 2:
            continue
        value, error = (np.array([e[i] for e in entries], dtype=float) for i in (1, 2))
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
            "unit": entries[0][3],
            "outliers": " ".join(e[0] for e, f in zip(entries, far, strict=True) if f),
        }
    columns = ["chips", "median", "mean", "std", "within", "between", "unit", "outliers"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def write_lot(outcomes: Sequence[Outcome], output: Path, *, report: bool = True) -> None:
    """Write ``lot.csv`` (see `lot_frame`) and, with `report`, ``lot.html`` into `output`."""
    with whole_file(output / "lot.csv") as beside:
        lot_frame(outcomes).to_csv(beside, index=False)
    if report:
        from rramfit.reporting.lot_report import lot_report

        lot_report(outcomes).save(output / "lot.html")
