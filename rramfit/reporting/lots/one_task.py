"""One task of a lot: read, characterize, write, and return its rows, whatever happens.

The files of an array are written in the order report, sidecar, card: an array is done if its card
is there. An error that is not one of rramfit's own is a fault of rramfit: its row has a short id,
equal for equal faults, and NAME.error.txt has the traceback.
"""

from __future__ import annotations

import hashlib
import re
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rramfit.errors import OutputError, RramfitError, RramfitWarning
from rramfit.fitting.characterization import characterize
from rramfit.fitting.results.result import rank_findings
from rramfit.measurement.file.plausibility import raise_implausible
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Measurement
from rramfit.measurement.lab.convert import convert_measurement
from rramfit.provenance import atomic_file, package_version
from rramfit.reporting.lots.finished import Finished
from rramfit.reporting.lots.row import Row, row_of_card
from rramfit.reporting.lots.tasks import LotSettings, LotTask
from rramfit.reporting.page.document import Link, file_address
from rramfit.workers import Lost

__all__ = ["characterize_task", "lost_rows"]


def characterize_task(
    task: LotTask, settings: LotSettings, on_stage: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Characterize the array of a task, or each of its tiles; return a row for each.

    Raises
    ------
    OutputError
        If the results cannot be written.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RramfitWarning)
        rows = _rows(task, settings, on_stage)
    texts = [str(w.message) for w in caught if issubclass(w.category, RramfitWarning)]
    return [replace(rows[0], warnings=texts), *rows[1:]] if texts else rows


def _rows(task: LotTask, settings: LotSettings, on_stage: Callable[[str], None]) -> list[Row]:
    first = task.files[0]
    on_stage(f"reading {first.name}")
    try:
        finished = Finished.of(task, settings) if settings.resume else None
        if finished and (card := finished.card(task.name)):
            return [row_of_card(card, str(first), report=settings.report, kept=True)]
        measurements = _read(task.files, settings.layout)
    except Exception as e:  # noqa: BLE001  # a row says what it was
        return [_refused_or_failed(e, task.files, task.name, settings.output)]
    rows = []
    settings = replace(settings, in_lot=settings.in_lot or len(measurements) > 1)
    for measurement in measurements:
        tile = None if measurement.origin is None else measurement.origin.tile
        name = task.name if tile is None else f"{task.name}_tile{tile}"
        if finished and tile is not None and (card := finished.card(name)):
            rows.append(row_of_card(card, str(first), report=settings.report, kept=True))
            continue
        try:
            rows.append(_characterize(measurement, name, str(first), settings, on_stage))
        except OutputError:
            raise
        except Exception as e:  # noqa: BLE001
            rows.append(_refused_or_failed(e, task.files, name, settings.output))
    return rows


def _read(files: tuple[Path, ...], layout: Path | None) -> tuple[Measurement, ...]:
    if layout is None:
        return (read_measurement(files[0]),)
    measurements = convert_measurement(files, layout).measurements
    for measurement in measurements:
        raise_implausible(measurement, files[0])
    return measurements


def _characterize(
    measurement: Measurement,
    name: str,
    file: str,
    settings: LotSettings,
    on_stage: Callable[[str], None],
) -> Row:
    result = characterize(measurement, name=name, seed=settings.seed, on_stage=on_stage)
    if settings.report:
        from rramfit.reporting.characterization import save_report

        on_stage("report")
        related = [Link("Model card (JSON)", file_address(f"{name}.card.json"))]
        related += [Link("Summary of the lot", "lot.html")] if settings.in_lot else []
        save_report(result, settings.output / f"{name}.report.html", related=related)
    result.save(settings.output)
    with suppress(OSError):
        _error_file(settings.output, name).unlink(missing_ok=True)  # of an earlier run
    findings = [
        [fit, f"{finding} [{finding.code}]" if finding.code else str(finding)]
        for fit, finding in rank_findings(result.verdicts)
    ]
    return row_of_card(result.card, file, report=settings.report, findings=findings)


def _refused_or_failed(error: Exception, files: Sequence[Path], name: str, output: Path) -> Row:
    if isinstance(error, RramfitError):
        return Row(file=str(files[0]), name=name, verdict="refused", problem=str(error))
    if isinstance(error, MemoryError):
        problem = f"{files[0]}: not enough memory. Use fewer --jobs, or a machine with more memory."
        return Row(file=str(files[0]), name=name, verdict="failed", problem=problem)
    summary = "".join(traceback.format_exception_only(error)).strip()
    return _failed(files, name, output, summary, traceback.format_exc())


def lost_rows(lost: Lost, task: LotTask, settings: LotSettings) -> list[Row]:
    """Return the row of a task that its process did not return, and remove its unfinished files.

    Raises
    ------
    RramfitError
        If the process raised one: results cannot be written.
    """
    if lost.error is not None:
        raise lost.error
    for part in settings.output.glob(f".{_literal(task.name)}*.part"):
        with suppress(OSError):
            part.unlink()
    if lost.how == "raised":
        return [_failed(task.files, task.name, settings.output, lost.summary, lost.text)]
    problem = (
        f"{task.files[0]}: not characterized within its time limit of {lost.summary}. Check the "
        "file with `rramfit measurement validate`, or raise the limit with --time-limit."
        if lost.how == "too long"
        else f"{task.files[0]}: the process that characterized it ended twice without a result "
        f"({lost.summary}). Check the file with `rramfit measurement validate`; if it is valid, "
        "use fewer --jobs, as memory may not suffice."
    )
    if lost.text:
        problem += f" What the process wrote is in {_error_file(settings.output, task.name)}."
        _save_text(settings.output, task.name, f"{problem}\n\n{lost.text}")
    return [Row(file=str(task.files[0]), name=task.name, verdict="failed", problem=problem)]


def _failed(files: Sequence[Path], name: str, output: Path, summary: str, text: str) -> Row:
    """Return the row of an error of rramfit, and write its traceback."""
    frames = re.findall(r'File ".*?([^/\\"]+)", line \d+, in (\S+)', text)
    key = repr((summary.partition(":")[0], frames))
    number = hashlib.sha256(key.encode()).hexdigest()[:8]
    problem = (
        f"{files[0]}: an error of rramfit, not of the file: {_one_line(summary)} (id {number}). "
        f"Please report it with {_error_file(output, name)}."
    )
    inputs = "\n".join(str(path) for path in files)
    _save_text(output, name, f"rramfit {package_version()}, error {number}\n\n{inputs}\n\n{text}")
    return Row(file=str(files[0]), name=name, verdict="failed", problem=problem)


def _save_text(output: Path, name: str, text: str) -> None:
    with atomic_file(_error_file(output, name)) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def _error_file(output: Path, name: str) -> Path:
    return output / f"{name}.error.txt"


def _one_line(text: str, longest: int = 200) -> str:
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _literal(name: str) -> str:
    """Return a name for use in a glob pattern."""
    return re.sub(r"([*?[])", r"[\1]", name)
