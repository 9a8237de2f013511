"""Characterize a measurement: run every fit that it allows; build the card and per-cell maps.

    measurement → screening → levels → variation, failure, … → card

A fit runs if its group is in the file. A fit that fails becomes a finding in the card's quality;
the other fits still run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from rramfit.card import CellMaps, ModelCard, cells_bytes, save_card, save_cells
from rramfit.card.cells import STUCK
from rramfit.card.quality import CellsFile
from rramfit.errors import FitError, sentence, visible
from rramfit.fitting.assembly import assemble_card
from rramfit.fitting.checks.conditions import judge_conditions
from rramfit.fitting.checks.conversion_findings import judge_conversion
from rramfit.fitting.checks.diagnostics import diagnose
from rramfit.fitting.checks.heldout import check_heldout
from rramfit.fitting.electrical.iv import fit_iv
from rramfit.fitting.electrical.line_fit import fit_line_resistance
from rramfit.fitting.electrical.pulses import fit_pulse_response
from rramfit.fitting.electrical.readout import fit_readout
from rramfit.fitting.failure.effort import fit_programming
from rramfit.fitting.failure.failure import fit_failure
from rramfit.fitting.fits import Fits, Result
from rramfit.fitting.levels.blind import find_levels
from rramfit.fitting.levels.levels import LevelsFit, fit_levels
from rramfit.fitting.levels.targets import set_aside_windows
from rramfit.fitting.results.result import Finding, Verdict
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.screening.at_level import AtLevel, find_at_level
from rramfit.fitting.screening.screening import screen
from rramfit.fitting.statistics.inference import drivers_kept
from rramfit.fitting.statistics.read_spread import first_readings
from rramfit.fitting.tails.tails import fit_tails
from rramfit.fitting.time.bakes.bakes import Bake, fit_bakes
from rramfit.fitting.time.endurance import fit_endurance
from rramfit.fitting.time.read_noise import fit_read_noise
from rramfit.fitting.time.retention import fit_retention
from rramfit.fitting.variation.gauge import fit_gauge, has_sessions
from rramfit.fitting.variation.variation import fit_variation
from rramfit.measurement.file.read import read_measurement
from rramfit.measurement.file.record import Measurement, Reads

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Characterization", "characterize"]

D = TypeVar("D")
R = TypeVar("R", bound=Result)

_LOG_FAMILIES = frozenset({"lognormal"})  # variance components convert exactly from ln S


@dataclass(frozen=True, slots=True, kw_only=True)
class Characterization(Fits):
    """The results for one array: the fits, the card and the per-cell maps.

    Attributes
    ----------
    measurement : Measurement
        The input; if the file defines no levels, with the levels that were found.
    card : ModelCard
        The sealed card.
    cells : CellMaps
        Per-cell maps of this array.
    verdicts : dict of str to Verdict
        By the name of the fit; includes fits that failed.
    """

    measurement: Measurement
    card: ModelCard
    cells: CellMaps
    verdicts: dict[str, Verdict]

    def save(self, folder: Path | str = ".") -> tuple[Path, Path]:
        """Write ``NAME.card.json`` and ``NAME.cells.h5``, and return their paths."""
        card = Path(folder) / f"{self.card.name}.card.json"
        cells = Path(folder) / f"{self.card.name}.cells.h5"
        save_cells(self.cells, cells)
        save_card(self.card, card)
        return card, cells

    def to_frame(self) -> pd.DataFrame:
        """Return every parameter of the card: value, stderr, low, high, unit."""
        return self.card.to_frame()

    def summary(self) -> str:
        """Return the summaries of all fits as readable text."""
        head = f"{self.card.name}: {self.card.quality.verdict}. {self.card.quality.summary}"
        return "\n\n".join((head, *(fit.summary() for fit in self.results().values())))

    def _repr_html_(self) -> str:
        head = f"{self.card.name}: {self.card.quality.verdict}. {self.card.quality.summary}"
        fits = "".join(fit._repr_html_() for fit in self.results().values())
        return f"<p><b>{html.escape(head)}</b></p>{fits}"


def characterize(
    source: Path | str | Measurement,
    *,
    name: str | None = None,
    seed: int = 0,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Characterization:
    """Characterize one measured array.

    Parameters
    ----------
    source : Path, str or Measurement
        A measurement file, or a measurement in memory.
    name : str, optional
        Name of the card; by default the file name without suffix, or else the array id.
    seed : int
        Seed of folds, bootstraps and permutations.
    on_stage : callable (str), optional
        Called with the name of each stage, to show progress.

    Raises
    ------
    MeasurementError
        If the file is not a measurement file.
    """
    on_stage("reading")
    measurement = source if isinstance(source, Measurement) else read_measurement(Path(source))
    if name is None:
        path = measurement.path
        name = visible(path.stem) if path else measurement.identity.array_id.replace("/", "-")
    run = _Run(on_stage)
    if measurement.origin is not None:
        run.verdicts["conversion"] = judge_conversion(measurement.origin)
    if not (conditions := judge_conditions(measurement)).ok:
        run.verdicts["conditions"] = conditions
    # The matrices are small: a second BLAS thread would mostly wait.
    with threadpool_limits(1, user_api="blas"):
        measurement, fits = _fit(measurement, run, seed)
    maps = _cell_maps(fits, (measurement.rows, measurement.cols))
    card = assemble_card(
        measurement,
        fits,
        run.verdicts,
        run.missing,
        cells=CellsFile(
            file=f"{name}.cells.h5", sha256=hashlib.sha256(cells_bytes(maps)).hexdigest()
        ),
        name=name,
        seed=seed,
    )
    found = {field.name: getattr(fits, field.name) for field in dataclasses.fields(fits)}
    return Characterization(
        measurement=measurement, card=card, cells=maps, verdicts=run.verdicts, **found
    )


class _Run:
    """Runs fits one by one, and records the verdict of each."""

    def __init__(self, on_stage: Callable[[str], None]) -> None:
        self.on_stage = on_stage
        self.verdicts: dict[str, Verdict] = {}
        self.missing: dict[str, str] = {}

    def fit(self, name: str, work: Callable[[], R]) -> R | None:
        """Run one fit; record a `FitError` as a severe finding."""
        self.on_stage(name)
        try:
            result = work()
        except FitError as e:
            remedy = "Measure more data, or remove this group from the file."
            self.verdicts[name] = Verdict(
                (Finding(sentence(str(e)), remedy, severe=True, code="fit-failed"),)
            )
            return None
        self.verdicts[name] = result.verdict
        return result

    def fit_group(self, name: str, group: str, data: D | None, work: Callable[[D], R]) -> R | None:
        """Run a fit if its group is in the file; otherwise record the missing group."""
        if data is None:
            self.missing[name] = group
            return None
        return self.fit(name, lambda: work(data))


@drivers_kept()
def _fit(measurement: Measurement, run: _Run, seed: int) -> tuple[Measurement, Fits]:
    """Run every fit that the file allows; return the measurement with the levels found."""
    m, blind = measurement, None
    if m.program is not None and not m.program.levels_known:
        blind = run.fit("blind_levels", lambda: find_levels(m, seed=seed))
        if blind is not None:
            m = dataclasses.replace(m, levels=blind.levels, program=blind.program)
    if (aside := set_aside_windows(m)) is not None:
        m, finding = aside
        run.verdicts["targets"] = Verdict((finding,))
    statistics = None
    if m.program is not None:
        run.on_stage("accumulating")
        statistics = accumulate(m.program, len(m.levels) if m.levels is not None else 0)
    screening = screen(m, statistics)
    run.verdicts["screening"] = screening.verdict
    fits = Fits(screening=screening, statistics=statistics, blind=blind)
    fits = _fit_groups(m, _fit_levels(m, fits, run, seed), run, seed)
    return m, _fit_program(m, fits, run, seed)


def _fit_levels(m: Measurement, fits: Fits, run: _Run, seed: int) -> Fits:
    """Fit the levels first: they say which cells of the other groups are at their level."""
    statistics, healthy, on_levels = fits.statistics, fits.screening.healthy, m.levels
    if statistics is None or on_levels is None:
        run.missing["levels"] = "/program" if statistics is None else "/levels"
        return fits
    levels = run.fit(
        "levels",
        lambda: fit_levels(
            statistics, healthy, on_levels, seed=seed, targets_known=fits.blind is None
        ),
    )
    tails = None
    if levels is not None:
        tails = run.fit("tails", lambda: fit_tails(statistics, healthy, levels))
    return dataclasses.replace(fits, levels=levels, tails=tails)


def _at_level(reads: Reads | None, fits: Fits) -> AtLevel | None:
    """Find the cells of `/reads` or `/retention` that are at their level."""
    if reads is None:
        return None
    # Levels that were found blind need not be numbered as in the file.
    levels = () if fits.levels is None or fits.blind is not None else fits.levels.levels
    return find_at_level(
        first_readings(reads),
        reads.level,
        fits.screening.healthy,
        expected=[level.distribution for level in levels],
        expected_cells=[level.n_cells for level in levels],
    )


def _fit_program(m: Measurement, fits: Fits, run: _Run, seed: int) -> Fits:
    """Run the fits of the programming sweeps."""
    statistics, screening, on_levels = fits.statistics, fits.screening, m.levels
    if statistics is None or on_levels is None:
        for name in ("variation", "failure", "heldout"):
            run.missing[name] = "/program" if statistics is None else "/levels"
        return fits
    healthy, levels = screening.healthy, fits.levels
    domains, at_level = _domains(levels, len(on_levels)), _at_level(m.reads, fits)
    variation = run.fit(
        "variation",
        lambda: fit_variation(
            statistics, healthy, domains=domains, reads=m.reads, at_level=at_level, seed=seed
        ),
    )
    return dataclasses.replace(
        fits,
        variation=variation,
        failure=run.fit(
            "failure",
            lambda: fit_failure(
                statistics, screening, levels=on_levels, variation=variation, seed=seed
            ),
        ),
        heldout=run.fit(
            "heldout",
            lambda: check_heldout(statistics, healthy, on_levels, seed=seed, fit=levels),
        ),
    )


def _fit_groups(m: Measurement, fits: Fits, run: _Run, seed: int) -> Fits:
    """Run the fits of the other groups, and the checks for bad data."""
    healthy, stuck = fits.screening.healthy, fits.screening.where(*STUCK)
    densities = [level.distribution for level in fits.levels.levels] if fits.levels else []
    return dataclasses.replace(
        fits,
        diagnostics=run.fit("diagnostics", lambda: diagnose(m, fits.statistics, fits.screening)),
        read_noise=run.fit_group(
            "read_noise",
            "/reads",
            m.reads,
            lambda reads: fit_read_noise(
                reads, healthy=healthy, stuck=stuck, at_level=_at_level(reads, fits), seed=seed
            ),
        ),
        retention=run.fit_group(
            "retention",
            "/retention",
            m.retention,
            lambda retention: fit_retention(
                retention, m.levels, healthy=healthy, at_level=_at_level(retention, fits)
            ),
        ),
        temperature=run.fit_group(
            "temperature",
            "/retention at a second temperature",
            m.bakes if len(m.bakes) > 1 else None,
            lambda bakes: fit_bakes(
                [
                    Bake(reads=bake, healthy=healthy, at_level=_at_level(bake, fits))
                    for bake in bakes
                ],
                m.levels,
            ),
        ),
        endurance=run.fit_group(
            "endurance",
            "/endurance",
            m.endurance,
            lambda endurance: fit_endurance(endurance, healthy=healthy),
        ),
        programming=run.fit_group(
            "programming",
            "/attempts",
            m.attempts,
            lambda attempts: fit_programming(attempts, m.levels),
        ),
        pulses=run.fit_group("pulses", "/pulses", m.pulses, fit_pulse_response),
        gauge=run.fit("gauge", lambda: fit_gauge(m, healthy=healthy, seed=seed))
        if has_sessions(m)
        else None,
        iv=run.fit_group(
            "iv",
            "/iv",
            m.iv,
            lambda iv: fit_iv(
                iv,
                expected=densities,
                read_voltage=m.program.read_voltage if m.program else None,
                stuck=stuck,
            ),
        ),
        line=run.fit_group("line", "/mvm", m.mvm, fit_line_resistance),
        readout=run.fit_group("readout", "/readout", m.readout, fit_readout),
    )


def _domains(levels: LevelsFit | None, count: int) -> list[str]:
    """Return each level's domain, "linear" or "log", in which its family's spread is constant."""
    if levels is None:
        return ["linear"] * count
    return ["log" if level.family in _LOG_FAMILIES else "linear" for level in levels.levels]


def _cell_maps(fits: Fits, shape: tuple[int, int]) -> CellMaps:
    """Collect the per-cell results of the fits."""
    count = len(fits.statistics.count) if fits.statistics is not None else 0
    unknown = np.full((count, *shape), np.nan)
    screening = fits.screening
    stuck = screening.where(*STUCK)
    moves = stuck & (np.nan_to_num(screening.stuck_moving) > 0.5)
    likely = np.nan_to_num(screening.stuck_posterior) > 0
    return CellMaps(
        fault=screening.fault.copy(),
        offset=fits.variation.offsets.copy() if fits.variation else unknown,
        offset_stderr=fits.variation.offset_stderr.copy() if fits.variation else None,
        line_offset=fits.variation.line_offsets() if fits.variation else None,
        hard_posterior=fits.failure.hard_posterior.copy() if fits.failure else unknown.copy(),
        certainty=fits.blind.certainty.copy() if fits.blind else None,
        stuck_conductance=np.where(stuck, screening.value, np.nan) if stuck.any() else None,
        stuck_posterior=screening.stuck_posterior.copy() if likely.any() else None,
        stuck_motion=np.where(moves, screening.stuck_motion, np.nan) if moves.any() else None,
    )
