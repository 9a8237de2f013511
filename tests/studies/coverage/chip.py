"""One chip of the coverage study: draw, characterize, and compare with the truth."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cases import FAMILIES, READS, SHAPE, Case
from predictions import predictions, thresholds_of, tolerances


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one chip.

    Attributes
    ----------
    found : list of (parameter, truth, value, stderr, low, high)
    failed : list of str
        Fits that gave no result.
    """

    case: str
    chip: int
    seconds: float
    found: list[tuple[str, float, float, float, float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def one_chip(job: tuple[Case, int]) -> Record:
    """Draw and characterize one chip; return truth, value and interval of every parameter."""
    import torch
    from truths import scattered_truth, study_truth

    from rramfit.errors import RramfitError
    from rramfit.fitting.characterization import characterize
    from rramfit.measurement.virtual.mess import Mess
    from rramfit.measurement.virtual.synthesize import synthesize
    from rramfit.measurement.virtual.tester import Plan

    torch.set_num_threads(1)
    case, chip = job
    seed = zlib.crc32(case.name.encode()) % 100_000 * 10_000 + chip  # other cards in every case
    mess, card = Mess(**case.mess), card_of(case, chip, seed)
    start = time.process_time()
    try:
        measurement = synthesize(
            card,
            sweeps=case.sweeps,
            seed=seed,
            groups=case.groups,
            plan=Plan(**{"reads": READS, "bake_energy": energy_of(seed), **case.plan}),
            mess=mess,
        )
        found = characterize(measurement, seed=chip)
    except RramfitError as e:
        return Record(case.name, chip, time.process_time() - start, failed=[f"all: {e}"])
    seconds = time.process_time() - start
    truth = study_truth(card, measurement, found.card, mess)
    if mess.clusters and not clusters_found(found):
        truth |= scattered_truth(card, mess)
    rows = [
        (path, truth[path], q.value, q.stderr, *q.ci95)
        for path, q in estimates(found)
        if path in truth and q.ci95 is not None
    ]
    failed = sorted(set(found.verdicts) - set(found.results()) - {"targets", "conversion"})
    return Record(case.name, chip, seconds, found=rows, failed=failed)


def clusters_found(found: Any) -> bool:
    """Return whether the characterization found that faults cluster."""
    clustering = found.failure.clustering if found.failure else None
    return clustering is not None and clustering.dominant is not None


def card_of(case: Case, chip: int, seed: int) -> Any:
    """Return the random card of one chip."""
    from rramfit.card.quantity import Quantity
    from rramfit.measurement.virtual.cards import random_card
    from rramfit.measurement.virtual.group_cards import with_groups
    from rramfit.streams import stream

    card = random_card(seed, distribution=FAMILIES[chip % 3], array=SHAPE, **case.card)
    if case.dead:
        rows, cols = stream(seed, "study/dead").uniform(0.0, case.dead, 2)
        dead = {"dead_rows": Quantity.given(rows, "1"), "dead_cols": Quantity.given(cols, "1")}
        card = card.model_copy(update={"stuck": card.stuck.model_copy(update=dead)})
    if "read_burst" in case.plan:
        return disturbed(with_groups(card, seed), seed)
    if "bake_temperatures" in case.plan:
        return baked(with_groups(card, seed), chip, seed)
    return with_groups(card, seed) if "endurance" in case.groups else card


def disturbed(card: Any, seed: int) -> Any:
    """Return the card with a read disturb of up to 0.01 % per read."""
    from rramfit.card.blocks.disturb import DisturbCard, DisturbLevel
    from rramfit.card.quantity import Quantity
    from rramfit.streams import stream

    rate = stream(seed, "study/disturb").uniform(-1e-4, 1e-4, len(card.levels))
    levels = [
        DisturbLevel(
            level=x.index,
            n_cells=0,
            rate=Quantity.given(r * x.mean.value, "S"),
            left=Quantity.given(0.0, "1"),
        )
        for x, r in zip(card.levels, rate, strict=True)
    ]
    part = DisturbCard(reads=READS, separated=True, levels=levels)
    noise = card.read_noise.model_copy(update={"disturb": part})
    return card.model_copy(update={"read_noise": noise})


def energy_of(seed: int) -> float:
    """Return the activation energy of the bakes of one chip [eV]."""
    from rramfit.streams import stream

    return float(stream(seed, "study/energy").uniform(0.4, 0.9))


def baked(card: Any, chip: int, seed: int) -> Any:
    """Return the card with a law of temperature; that of every third chip accelerates time."""
    from rramfit.measurement.virtual.group_cards import with_bakes

    if chip % 3 == 0:
        return card
    if chip % 3 == 1:
        return with_bakes(card, energy=energy_of(seed))
    return with_bakes(card, energy=energy_of(seed), exponent=0.3, domain="log")


def estimates(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield the paths and quantities of a characterization's card.

    Line offsets have their axis and period in place of an index. Correlations between levels have
    intervals in the fit only.
    """
    from rramfit.card.quantity import quantities

    for v in found.card.variation:
        for lines in v.lines or ():
            yield f"variation[{v.level}].lines[{lines.axis},{lines.period}].std", lines.std
    for path, q in quantities(found.card):
        if ".lines[" not in path:
            yield path, q
    yield from predictions(found.card, thresholds=thresholds_of(found.card))
    yield from tolerances(found.card)
    if found.variation is not None:
        for name, q in found.variation.quantities().items():
            if name.startswith("correlation"):
                _, j, k = name.split()
                yield f"variation_correlation[{j}][{k}]", q
