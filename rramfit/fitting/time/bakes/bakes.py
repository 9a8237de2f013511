"""Several bakes joined: the change of every level with time and temperature.

Every bake is first fitted alone (`rramfit.fitting.time.retention`). The changes of all bakes then
determine one law (`rramfit.card.blocks.temperature_law`): its activation energy, its exponent of
time, and the parameters of every level, for the mean and for the variance over cells
(`rramfit.fitting.time.bakes.energies`). The reference is the temperature of the first bake and the
earliest first reading after programming.

The cells of a level may be programmed anew for each bake, or be other cells, even of another chip:
only their changes are used. Where the variance does not determine a separate energy, it takes
that of the drift once (a random walk) or twice (rates that differ between cells), whichever fits
better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.blocks.temperature import (
    BakeCard,
    BakedLevel,
    ChangeLaw,
    LevelLaw,
    TemperatureCard,
)
from rramfit.card.conditions.change_at import EVEN
from rramfit.card.quantity import Quantity
from rramfit.errors import FitError
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.screening.at_level import AtLevel
from rramfit.fitting.time.bakes.changes import BakeChanges, bake_changes
from rramfit.fitting.time.bakes.energies import Energies, infer_energies
from rramfit.fitting.time.bakes.findings import bake_findings
from rramfit.fitting.time.bakes.law_choice import LATER, choose_law, distinct, later_readings
from rramfit.fitting.time.bakes.law_data import LawData
from rramfit.fitting.time.bakes.zero_failures import failure_share
from rramfit.fitting.time.retention import fit_retention
from rramfit.fitting.time.retention_cells import retention_cells
from rramfit.measurement.file.record import Levels, Reads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Bake", "BakesFit", "MeasuredBake", "fit_bakes", "join", "measured_bake"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """One bake to be joined.

    Attributes
    ----------
    reads : Reads
    healthy : (row, col) bool array, optional
        Cells to use; all by default.
    at_level : AtLevel, optional
        Cells that are at their level when first read.
    source : str, optional
        File or chip, if the bakes are of several.
    """

    reads: Reads
    healthy: Bools | None = None
    at_level: AtLevel | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBake:
    """Changes in one bake, and its part of the card without what the joint fit adds."""

    changes: BakeChanges
    card: BakeCard
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BakesFit(ShowsResult):
    """Drift and growth of every level with time and temperature.

    Attributes
    ----------
    result : FitResult
        `activation_energy`, `L0 activation_energy`, …, `exponent`, `growth activation_energy` and
        `growth exponent`, where the data determine them.
    changes : tuple of BakeChanges
        Measured changes of the bakes that are used.
    drift, growth : Energies, optional
        None if all bakes are at one temperature; growth also without variances.
    block : TemperatureCard
    """

    result: FitResult
    changes: tuple[BakeChanges, ...]
    drift: Energies | None
    growth: Energies | None
    block: TemperatureCard

    def to_card(self) -> TemperatureCard:
        """Return the block of the card."""
        return self.block

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the acceleration of every bake versus 1/kT, with the Arrhenius line."""
        ax = axes_or_new(ax)
        bakes = [b for b in self.block.bakes if b.factor is not None]
        x = [1e3 / b.temperature.value for b in bakes]
        ax.semilogy(x, [b.factor.value for b in bakes if b.factor], "o")
        if self.drift is not None:
            t = np.linspace(min(1e3 / v for v in x), max(1e3 / v for v in x), 50)
            data = self.drift.fit.data
            reference = 1e3 / data.reference_temperature
            energy = self.drift.fit.energy
            ax.semilogy(1e3 / t, np.exp(-energy / 8.617333262e-2 * (1e3 / t - reference)))
        ax.set_xlabel("1000/T [1/K]")
        ax.set_ylabel("acceleration")
        return ax


def fit_bakes(bakes: Sequence[Bake], levels: Levels | None = None) -> BakesFit:
    """Join several bakes.

    Parameters
    ----------
    bakes : sequence of Bake
        In any order of temperature; the first one is the reference.
    levels : Levels, optional
        Targets, for their number.

    Raises
    ------
    FitError
        If fewer than two bakes can be used, or a bake has no temperature.
    """
    n_levels = max([len(levels) if levels else 0, *(_levels_of(b.reads) for b in bakes)])
    measured, found = [], []
    for bake in bakes:
        one = measured_bake(bake, levels, n_levels)
        if isinstance(one, Finding):
            found.append(one)
        else:
            measured.append(one)
    if len(measured) < 2:
        why = found[0].what if found else f"{len(bakes)} bake is given"
        msg = f"/retention: fewer than two bakes can be joined. {why}"
        raise FitError(msg)
    return join(measured, found)


def measured_bake(bake: Bake, levels: Levels | None, n_levels: int) -> MeasuredBake | Finding:
    """Compute the changes of one bake, and fit it alone; a finding if it has too few cells.

    Raises
    ------
    FitError
        If the bake has no temperature.
    """
    reads = bake.reads
    if reads.temperature is None:
        msg = (
            f"a bake of {bake.source or '/retention'} has no temperature; expected a number in K. "
            "Set the attribute `temperature` of the bake"
        )
        raise FitError(msg)
    try:
        kept = retention_cells(
            reads, n_levels=n_levels, healthy=bake.healthy, at_level=bake.at_level
        )
    except FitError as e:
        return Finding(
            f"The bake at {reads.temperature:.4g} K is left out: {e}",
            "Bake more cells, or take this bake out of the file",
            code="bake-left-out",
        )
    changes = bake_changes(kept, reads.temperature)
    fit = fit_retention(reads, levels, healthy=bake.healthy, at_level=bake.at_level)
    alone = fit.result.estimates
    cells = int(kept.n_cells.sum())
    card = BakeCard(
        temperature=Quantity.given(changes.temperature, "K"),
        reference_time=Quantity.given(changes.reference_time, "s"),
        longest_time=Quantity.given(float(changes.time[-1]), "s"),
        source=bake.source,
        cells=cells,
        lost=kept.left,
        lost_bound=failure_share(kept.left, cells),
        levels=[
            BakedLevel(
                level=k,
                n_cells=int(n),
                drift=alone.get(f"L{k} drift"),
                growth=alone.get(f"L{k} growth"),
            )
            for k, n in enumerate(kept.n_cells)
            if n > 0
        ],
    )
    severe = tuple(
        dataclasses.replace(f, what=f"In the bake at {reads.temperature:.4g} K, {_lower(f.what)}")
        for f in fit.verdict.findings
        if f.severe
    )
    return MeasuredBake(changes=changes, card=card, findings=severe)


def _lower(text: str) -> str:
    """Return a sentence that goes on from another."""
    return text[:1].lower() + text[1:]


def join(bakes: Sequence[MeasuredBake], found: Sequence[Finding] = ()) -> BakesFit:
    """Fit the law to the changes of two or more bakes; `found` are findings on them."""
    findings = [*found, *(f for b in bakes for f in b.findings)]
    return _joined([b.changes for b in bakes], [b.card for b in bakes], findings)


def _joined(changes: list[BakeChanges], cards: list[BakeCard], found: list[Finding]) -> BakesFit:
    temperatures = [c.temperature for c in changes]
    testable = any(later_readings(c) >= LATER for c in changes)
    drift = growth = None
    reference_time = min(c.reference_time for c in changes)
    if distinct(np.array(temperatures)) > 1:
        data = {
            kind: LawData.of(
                changes,
                kind,
                reference_temperature=temperatures[0],
                reference_time=reference_time,
            )
            for kind in ("log", "mean", "variance", "excess")
        }
        if data["mean"].sets:
            drift = _drift(changes, data, testable=testable)
            spread = data["excess" if drift.by_factor >= EVEN else "variance"]
            growth = _growth(changes, spread, drift, testable=testable)
    found += bake_findings(drift, temperatures=temperatures, testable=testable)
    block = TemperatureCard(
        reference_temperature=Quantity.given(temperatures[0], "K"),
        reference_time=Quantity.given(reference_time, "s"),
        longest_time=Quantity.given(max(float(c.time[-1]) for c in changes), "s"),
        bakes=[_with_factors(card, b, drift) for b, card in enumerate(cards)],
        drift=None if drift is None else _law(drift, "S", by_factor=drift.by_factor),
        growth=None if growth is None else _law(growth, "S²"),
    )
    estimates = _estimates(drift, growth)
    errors = np.array([q.stderr or 0.0 for q in estimates.values()])
    return BakesFit(
        result=FitResult(
            title="temperature",
            estimates=estimates,
            covariance=np.diag(errors**2),
            n_observations=sum(int(c.n_cells.sum()) * (len(c.time) + 1) for c in changes),
            verdict=Verdict(tuple(found)),
        ),
        changes=tuple(changes),
        drift=drift,
        growth=growth,
        block=block,
    )


def _drift(changes: Sequence[BakeChanges], data: dict[str, LawData], *, testable: bool) -> Energies:
    """Fit the mean: its logarithm where all means are positive, or else the mean itself."""
    log, linear = data["log"], data["mean"]
    domains = {"log": log, "linear": linear}
    if [(s.level, s.bake, len(s.z)) for s in log.sets] != [
        (s.level, s.bake, len(s.z)) for s in linear.sets
    ]:
        del domains["log"]
    return infer_energies(choose_law(changes, domains), testable=testable)


def _growth(
    changes: Sequence[BakeChanges], data: LawData, drift: Energies, *, testable: bool
) -> Energies | None:
    if not data.sets:
        return None
    choice = choose_law(changes, {"linear": data}, accelerates=drift.fit.kind.accelerates)
    known = drift.energy or drift.assumed
    otherwise = () if known is None else (known, _scaled(known, 2.0))
    return infer_energies(choice, testable=testable, otherwise=otherwise)


def _scaled(q: Quantity, factor: float) -> Quantity:
    if q.stderr is None:
        return Quantity.given(factor * q.value, q.unit)
    return Quantity.estimated(factor * q.value, factor * q.stderr, q.unit)


def _levels_of(reads: Reads) -> int:
    return int(reads.level.max(initial=0)) + 1


def _with_factors(card: BakeCard, bake: int, drift: Energies | None) -> BakeCard:
    """Add the acceleration that the bake shows, from all levels and from each."""
    if drift is None:
        return card
    levels = [
        level.model_copy(update={"factor": drift.level_factors[level.level][bake]})
        for level in card.levels
    ]
    return card.model_copy(update={"factor": drift.factors[bake], "levels": levels})


def _law(e: Energies, unit: str, *, by_factor: float | None = None) -> ChangeLaw:
    fit, kind = e.fit, e.fit.kind
    if e.domain == "log":
        unit = "1"
    time_energy = None
    if kind.accelerates == "time":
        time_energy = e.energy
    elif e.energy is not None and kind.free_exponent and fit.exponent > 0:
        ratio = e.energy.value / fit.exponent
        gradient = np.array([1 / fit.exponent, -ratio / fit.exponent])
        variance = float(gradient @ e.covariance[:2, :2] @ gradient)
        if variance > 0:
            time_energy = Quantity.estimated(ratio, variance**0.5, "eV")
    return ChangeLaw(
        domain="log" if e.domain == "log" else "linear",
        by_factor=by_factor,
        accelerates=kind.accelerates,
        exponent=e.exponent,
        fitted_exponent=kind.free_exponent,
        activation_energy=e.energy,
        assumed_energy=e.assumed,
        common=e.common,
        time_energy=time_energy,
        between_bakes=e.between,
        p_common=e.p_common,
        p_arrhenius=e.p_arrhenius,
        p_time=e.p_time,
        levels=[
            _level_law(e, k, unit)
            for k in range(fit.data.n_levels)
            if np.isfinite(fit.theta[k]).all()
        ],
    )


def _level_law(e: Energies, level: int, unit: str) -> LevelLaw:
    """Return the parameters of one level, at its own energy if the levels differ."""
    own = e.of_level[level]
    if not e.common and own is not None:
        e = e.at_level_energy(level, own)
    values, covariance = e.of_law(level)
    errors = np.sqrt(np.where(np.diagonal(covariance) > 0, np.diagonal(covariance), np.nan))
    known = np.isfinite(errors)
    quantities = {
        name: Quantity.estimated(float(value), float(error), unit)
        for name, value, error in zip(
            ("step", "step_rate", "rate"), values, errors[2:], strict=True
        )
        if np.isfinite(error)
    }
    if "rate" not in quantities:  # constant readings: no change, and no error of it
        quantities["rate"] = Quantity.given(float(values[-1]), unit)
    scale = np.where(known, errors, 1.0)
    correlation = np.nan_to_num((covariance / np.outer(scale, scale))[np.ix_(known, known)])
    return LevelLaw(
        level=level,
        activation_energy=own,
        correlation=np.clip(correlation, -1.0, 1.0).tolist(),
        **quantities,
    )


def _estimates(drift: Energies | None, growth: Energies | None) -> dict[str, Quantity]:
    out: dict[str, Quantity] = {}
    for prefix, e in (("", drift), ("growth ", growth)):
        if e is None:
            continue
        if e.energy is not None:
            out[f"{prefix}activation_energy"] = e.energy
        if not prefix:
            out |= {
                f"L{k} activation_energy": own
                for k, own in enumerate(e.of_level)
                if own is not None
            }
        if e.exponent.stderr is not None:
            out[f"{prefix}exponent"] = e.exponent
    return out
