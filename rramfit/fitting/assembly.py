"""Assemble a card from the fits: the part of each fit, the domain, quality and provenance.

No number is computed here: each comes from a fit or from the file. The card's verdict is the worst
verdict of its fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rramfit.card import ModelCard, Quantity, seal
from rramfit.card.quality import CellsFile, FitQuality, InputFile, Provenance, Quality
from rramfit.card.schema import ArrayInfo, Domain, LevelCard
from rramfit.errors import sentence, visible
from rramfit.fitting.fits import Fits
from rramfit.fitting.results.result import Verdict, rank_findings
from rramfit.measurement.file.record import Measurement
from rramfit.provenance import package_version, result_time, sha256_of

__all__ = ["assemble_card"]


def assemble_card(
    measurement: Measurement,
    fits: Fits,
    verdicts: Mapping[str, Verdict],
    not_run: Mapping[str, str],
    *,
    cells: CellsFile | None,
    name: str,
    seed: int,
) -> ModelCard:
    """Build the sealed card of one characterization.

    Parameters
    ----------
    measurement : Measurement
    fits : Fits
        The fits; None for those that did not run.
    verdicts : mapping of str to Verdict
        By the name of the fit; includes fits that failed.
    not_run : mapping of str to str
        Fits that the file has no data for: name of the fit, and the missing group.
    cells : CellsFile or None
        Name and digest of the per-cell file.
    name : str
        The card's name.
    seed : int
    """
    identity = measurement.identity
    failure, stuck = fits.failure.to_card() if fits.failure else ([], None)
    levels = fits.levels.to_card() if fits.levels else []
    card = ModelCard(
        name=name,
        digest="sha256:" + "0" * 64,
        array=ArrayInfo(
            id=identity.array_id,
            rows=measurement.rows,
            cols=measurement.cols,
            cell=identity.cell,
            lot=identity.lot,
            wafer=identity.wafer,
            die=identity.die,
            die_x=identity.die_x,
            die_y=identity.die_y,
            tile_row=identity.tile_row,
            tile_col=identity.tile_col,
            technology=identity.technology,
            instrument=identity.instrument,
            synthetic=identity.synthetic,
        ),
        levels=levels,
        variation=fits.variation.to_card() if fits.variation else [],
        variation_correlation=fits.variation.correlation_to_card() if fits.variation else None,
        line_correlation=fits.variation.line_correlation_to_card() if fits.variation else None,
        failure=failure,
        stuck=stuck,
        bits_per_cell=fits.levels.bits_per_cell if fits.levels else None,
        tails=fits.tails.to_card() if fits.tails else None,
        line=fits.line.to_card() if fits.line else None,
        iv=fits.iv.to_card() if fits.iv else None,
        read_noise=fits.read_noise.to_card() if fits.read_noise else None,
        retention=fits.retention.to_card() if fits.retention else None,
        temperature=fits.temperature.to_card() if fits.temperature else None,
        endurance=fits.endurance.to_card() if fits.endurance else None,
        programming=fits.programming.to_card() if fits.programming else None,
        pulses=fits.pulses.to_card() if fits.pulses else None,
        gauge=fits.gauge.to_card() if fits.gauge else None,
        readout=fits.readout.to_card() if fits.readout else None,
        domain=_domain(measurement, levels),
        quality=_quality(fits, verdicts, not_run),
        provenance=_provenance(measurement, name=name, seed=seed),
        cells=cells,
    )
    return seal(card)


def _domain(measurement: Measurement, levels: list[LevelCard]) -> Domain:
    m = measurement
    voltages = [
        group.read_voltage for group in (m.program, m.reads, m.retention) if group is not None
    ]
    voltage = next((v for v in voltages if v is not None), None)
    temperature = m.identity.temperature
    longest = max((float(bake.time.max()) for bake in m.bakes), default=None)
    means = [level.mean for level in levels if level.mean is not None]
    lowest_highest = (means[0], means[-1]) if means else None
    return Domain(
        read_voltage=None if voltage is None else Quantity.given(voltage, "V"),
        temperature=None if temperature is None else Quantity.given(temperature, "K"),
        longest_time=None if longest is None else Quantity.given(longest, "s"),
        conductance=lowest_highest,
        rows=m.rows,
        cols=m.cols,
    )


def _quality(fits: Fits, verdicts: Mapping[str, Verdict], not_run: Mapping[str, str]) -> Quality:
    by_fit = {name: verdict.to_card() for name, verdict in verdicts.items()}
    by_fit |= {
        name: FitQuality(
            verdict="not run",
            findings=[f"The file has no {group}."],
            remedies=[f"Measure {group}."],
        )
        for name, group in not_run.items()
    }
    everything = Verdict(tuple(finding for _, finding in rank_findings(verdicts)))
    return Quality(
        verdict=everything.word,
        summary=_summary(everything, len(verdicts)),
        fits=by_fit,
        heldout=fits.heldout.to_card() if fits.heldout else [],
        screened=fits.screening.to_card(),
    )


def _summary(everything: Verdict, count: int) -> str:
    findings = everything.findings
    if everything.word == "bad":
        rest = len(findings) - 1
        more = f" There {'is' if rest == 1 else 'are'} {rest} more finding{'s' * (rest > 1)}."
        return f"Do not use this card yet. {sentence(findings[0].what)}{more if rest else ''}"
    if findings:
        counted = f"{len(findings)} findings. Most important" if len(findings) > 1 else "1 finding"
        return f"The fits can be used, with {counted}: {sentence(findings[0].what)}"
    return f"All {count} fits can be used." if count > 1 else "The fit can be used."


def _provenance(measurement: Measurement, *, name: str, seed: int) -> Provenance:
    path, origin, at = measurement.path, measurement.origin, measurement.identity.measured_at
    measured = origin.files if origin is not None else () if path is None else (path,)
    arguments: dict[str, str | int] = {"name": name}
    layout: tuple[Path, ...] = ()
    if origin is not None:
        arguments |= {"rows": origin.rows, "bad_rows": origin.bad_rows}
        if origin.layout is not None:
            arguments["layout"] = origin.layout.name
            layout = (origin.layout,)
        if origin.tile is not None:
            arguments["tile"] = origin.tile
    time, source = result_time(measured, at) if measured else (at or "", "measured_at of the input")
    return Provenance(
        inputs=[InputFile(name=visible(p.name), sha256=sha256_of(p)) for p in (*measured, *layout)],
        rramfit_version=package_version(),
        arguments=arguments,
        seed=seed,
        time=time,
        time_source=source,
    )
