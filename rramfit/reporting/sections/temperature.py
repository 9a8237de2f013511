"""Section on several bakes: activation energy, and the levels after ten years."""

from __future__ import annotations

from functools import partial

from rramfit.card import ModelCard
from rramfit.card.blocks.temperature import BakeCard, ChangeLaw, TemperatureCard
from rramfit.card.conditions.equivalent import equivalent_time
from rramfit.errors import RramfitError
from rramfit.fitting.time.bakes.zero_failures import cells_needed, share_bound
from rramfit.reporting.figures.temperature import TEN_YEARS, draw_arrhenius, draw_ten_years
from rramfit.reporting.page.document import Block, Column, Prose, Section, Table, figure
from rramfit.reporting.page.wording import duration, share, with_interval, with_unit
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.units import counted, format_p_value

__all__ = ["temperature_section"]

_CELSIUS = 273.15
_USE = (25.0, 85.0)
"""[°C] at which levels after ten years are listed."""

_ABSENT = "\N{EN DASH}"
_MOST_LEVELS = 16


def temperature_section(e: ReportData) -> Section | None:
    """Return the section on several bakes; None with one."""
    card = e.card
    block = card.temperature
    if block is None:
        return None
    blocks: list[Block] = []
    drawable = bool(card.levels) and block.drift is not None
    if block.drift is not None:
        blocks.append(
            figure(
                partial(draw_arrhenius, block=block),
                key="arrhenius",
                title="Acceleration by temperature",
                caption="Rate of change of each bake relative to the first: all levels together "
                "(large points) and each level alone (small points), with 95 % intervals. The line "
                "is the Arrhenius law with the common energy and its 95 % interval.",
            )
        )
    predicted = _ten_years_table(card) if drawable else None
    if predicted is not None:
        blocks.append(
            figure(
                partial(draw_ten_years, card=card),
                key="ten-years",
                title="Levels after ten years",
                caption="Mean of each level against temperature, extrapolated by the law, with "
                "95 % intervals. Dotted lines are the temperatures of the bakes.",
            )
        )
    if block.drift is not None:
        blocks += [_law_table(e, "Drift of the mean", block.drift)]
    if block.growth is not None:
        blocks += [_law_table(e, "Growth of the variance", block.growth)]
    if predicted is not None:
        blocks.append(predicted)
    blocks.append(_bakes_table(card, block))
    blocks.append(_losses(block))
    return Section(key="temperature", title="Temperature", blocks=tuple(blocks))


def _law_table(e: ReportData, caption: str, law: ChangeLaw) -> Table:
    energy = law.activation_energy or law.assumed_energy
    said = "" if law.activation_energy is not None else " (assumed)"
    rows = [
        (
            "activation energy, common",
            _ABSENT if energy is None else with_interval(energy) + said,
        )
    ]
    rows += [
        (f"activation energy of {e.level_name(x.level)} alone", with_interval(x.activation_energy))
        for x in law.levels[:_MOST_LEVELS]
        if x.activation_energy is not None
    ]
    m = "0: follows ln t" if not law.fitted_exponent else with_interval(law.exponent)
    if not law.fitted_exponent and law.exponent.ci95 is not None:
        m += f" (95 % interval {law.exponent.ci95[0]:.2g} to {law.exponent.ci95[1]:.2g})"
    rows.append(("exponent of time", m))
    if law.time_energy is not None:
        rows.append(("activation energy of time", with_interval(law.time_energy)))
    for name, p in (
        ("one energy against one per level", law.p_common),
        ("Arrhenius law", law.p_arrhenius),
        ("law of time", law.p_time),
    ):
        rows.append((f"test: {name}", _ABSENT if p is None else format_p_value(p)))
    if law.between_bakes:
        rows.append(("std between bakes, of the rate", share(law.between_bakes)))
    if law.by_factor is not None:
        name = "probability that all cells of a level change by one factor, not by one amount"
        rows.append((name, share(law.by_factor)))
    what = {"linear": "in siemens", "log": "of the logarithm"}[law.domain]
    return Table(
        caption=f"{caption} ({what}), with 95 % intervals",
        columns=(Column("quantity", numeric=False), Column("value")),
        rows=tuple(rows),
        width="half",
    )


def _ten_years_table(card: ModelCard) -> Table | None:
    """Return the table of levels after ten years; None where the card cannot say."""
    try:
        now = card.levels_at()
        found = [card.levels_at(time=TEN_YEARS, temperature=t + _CELSIUS) for t in _USE]
    except RramfitError:
        return None
    columns = [Column("level", numeric=False), Column("mean now"), Column("std now")]
    for t, at in zip(_USE, found, strict=True):
        mark = "*" if at.extrapolated else ""
        columns += [Column(f"mean, {t:g} °C{mark}"), Column(f"std, {t:g} °C{mark}")]
    rows = []
    for k, level in enumerate(now.levels[:_MOST_LEVELS]):
        row = [level.name, with_interval(level.mean), with_interval(level.std)]
        for at in found:
            row += [with_interval(at.levels[k].mean), with_interval(at.levels[k].std)]
        rows.append(tuple(row))
    return Table(
        caption="Levels after ten years at two temperatures, with 95 % intervals (* extrapolated "
        "past what was measured)",
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _bakes_table(card: ModelCard, block: TemperatureCard) -> Table:
    use = 85.0
    columns = [
        Column("temperature", numeric=False),
        Column("first to last read"),
        Column("cells"),
        Column("lost their state"),
        Column("share lost, two-sided 95 % interval"),
        Column("acceleration"),
        Column(f"equal to, at {use:g} °C"),
    ]
    rows = []
    for bake in block.bakes:
        t = bake.temperature.value
        source = f", {bake.source}" if bake.source else ""
        low, high = bake.lost_bound.ci95 or (0.0, 1.0)
        rows.append(
            (
                f"{with_unit(t, 'K')} ({t - _CELSIUS:.0f} °C){source}",
                f"{duration(bake.reference_time.value)} to {duration(bake.longest_time.value)}",
                f"{bake.cells:,}",
                f"{bake.lost:,}",
                f"{share(low)} to {share(high)}",
                _ABSENT if bake.factor is None else with_interval(bake.factor),
                _equal(card, bake, use + _CELSIUS),
            )
        )
    return Table(caption="Bakes", columns=tuple(columns), rows=tuple(rows))


def _equal(card: ModelCard, bake: BakeCard, at: float) -> str:
    """Return the longest time of a bake as a time at another temperature."""
    if card.temperature is None or card.temperature.drift is None:
        return _ABSENT
    found = equivalent_time(
        card, bake.longest_time.value, temperature=bake.temperature.value, at=at
    )
    if found is None:
        return "no limit"
    if found.ci95 is None or found.ci95[0] == found.ci95[1]:
        return duration(found.value)
    low, high = (duration(x) for x in found.ci95)
    return f"{duration(found.value)} ({low} to {high})"


def _losses(block: TemperatureCard) -> Prose:
    """Return what the cells that kept or lost their state show about rare losses."""
    sentences = []
    for bake in block.bakes:
        bound = share_bound(bake.lost, bake.cells)
        none = "None" if bake.lost == 0 else counted(bake.lost, "cell")
        sentences.append(
            f"{none} of {bake.cells:,} cells lost "
            f"{'its' if bake.lost <= 1 else 'their'} state at "
            f"{with_unit(bake.temperature.value, 'K')}: with 95 % confidence (one-sided), less "
            f"than {share(bound)} of cells do."
        )
    sentences.append(
        "These limits are one-sided, as qualification counts them. The table gives exact two-sided "
        "intervals (Clopper-Pearson), and the summary those of Jeffreys: with no loss among n "
        "cells, their upper limits are about 3.0/n, 3.7/n and 2.5/n."
    )
    sentences.append(
        f"To show a share below 0.01 % with no loss takes {cells_needed(1e-4):,} cells, one below "
        f"one in a million {cells_needed(1e-6):,}. The procedure is that of JESD22-A117 and JESD47 "
        "(binomial, zero failures), the acceleration that of JEP122."
    )
    return Prose(heading="Lost cells", paragraphs=(" ".join(sentences),))
