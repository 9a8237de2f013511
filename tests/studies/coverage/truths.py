"""True values that a measurement does not state: those that depend on what was fitted.

Distribution parameters are those of the nearest distribution of the family
(`rramfit.measurement.virtual.distribution_truth`), and thresholds, overlaps and bits follow from
them; they are true only for levels that were fitted with the card's family. Coefficients at a
reference conductance are converted to that of the fit. Nonlinearity of the read-out, a largest
distance over the inputs that do not clip, is that of many channels without noise, as
`rramfit.fitting.electrical.readout_nonlinearity` defines it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from cases import SHAPE
from predictions import READS, predictions, thresholds_of
from scipy import optimize, special

Z = np.linspace(-7.0, 7.0, 281)
RESHAPING = {"telegraph", "column_gain", "sweep_drift", "bimodal"}
"""Kinds of mess after which a level is not of its family."""


def study_truth(card: Any, measurement: Any, fitted: Any, mess: Any) -> dict[str, float]:
    """Return all true values of a chip by card path.

    Parameters
    ----------
    card : ModelCard
        The chip was drawn from it.
    measurement : Measurement
    fitted : ModelCard
        Of the characterization.
    mess : Mess
    """
    truth = {k: float(v) for k, v in measurement.truth.items() if isinstance(v, int | float)}
    of_levels = level_truth(card, fitted, mess)
    truth = {k: v for k, v in truth.items() if ".distribution." not in k} | of_levels
    failed = failed_conductance(card)
    truth |= {f"failure[{x.level}].conductance": failed for x in card.failure}
    truth |= converted(card, fitted, truth) | stuck_truth(card, mess)
    truth |= alive_truth(card, fitted, truth)
    if measurement.reads is not None:
        truth.setdefault("read_noise.telegraph_share", 0.0)
        if "read_noise.telegraph.dwell_low" not in truth:  # reads are drawn independently
            truth.setdefault("read_noise.spectral_exponent", 0.0)
        for k in range(len(card.levels)):
            truth.setdefault(f"read_noise.disturb.levels[{k}].rate", 0.0)
            if truth[f"read_noise.disturb.levels[{k}].rate"]:  # noise contains what reads change
                for name in ("read_noise.coefficient", "read_noise.exponent"):
                    truth.pop(name, None)
                for name in ("read", "c2c"):
                    truth.pop(f"variation[{k}].{name}", None)
            truth[f"after_reads.levels[{k}].mean"] = (
                truth[f"levels[{k}].mean"] + READS * truth[f"read_noise.disturb.levels[{k}].rate"]
            )
    if measurement.retention is not None:
        truth.setdefault("retention.collapsed", 0.0)
    if len(measurement.bakes) > 1:
        truth |= energy_truth(card, fitted, truth)
        predicted = predictions(card, thresholds=thresholds_of(fitted))
        truth |= {path: q.value for path, q in predicted}
    if measurement.readout is not None:
        truth |= readout_truth(card, measurement)
    if "read_noise.telegraph.dwell_low" in truth:  # levels are those of the case "telegraph"
        truth = {p: v for p, v in truth.items() if p.startswith(("read_noise.", "after_reads."))}
    return truth


def energy_truth(card: Any, fitted: Any, truth: dict[str, float]) -> dict[str, float]:
    """Return the activation energies of several bakes, and the exponent of time.

    Growth is that beyond a factor where the cells change by one, so that it has the energy of the
    card's law only in a fit that says the same of the cells.
    """
    law = card.temperature and card.temperature.drift
    energy = law.activation_energy.value if law else truth["retention.activation_energy"]
    out = {"temperature.drift.activation_energy": energy}
    out |= {
        f"temperature.drift.levels[{k}].activation_energy": energy for k in range(len(card.levels))
    }
    out["temperature.drift.exponent"] = law.exponent.value if law else 0.0
    from rramfit.card.conditions.change_at import EVEN, factor_probability

    found = fitted.temperature and fitted.temperature.drift
    if law and found and (factor_probability(law) < EVEN) == (factor_probability(found) < EVEN):
        out["temperature.growth.activation_energy"] = energy
    else:
        for name in ("activation_energy", "exponent"):
            truth.pop(f"temperature.growth.{name}", None)
    if law and law.exponent.value:  # one bake alone is fitted with the logarithm of time
        for path in [p for p in truth if p.startswith("retention.levels")]:
            del truth[path]
    return out


def level_truth(card: Any, fitted: Any, mess: Any) -> dict[str, float]:
    """Return distribution parameters, thresholds, overlaps and bits."""
    from rramfit.card.families import family
    from rramfit.measurement.virtual.distribution_truth import distribution_truth

    out = distribution_truth(card, SHAPE, mess=mess)
    true, same = [], []
    for k, (level, fit) in enumerate(zip(card.levels, fitted.levels, strict=False)):
        at = f"levels[{k}].distribution.parameters."
        parameters = {p.removeprefix(at): v for p, v in out.items() if p.startswith(at)}
        true.append((family(level.distribution.family), parameters))
        fits = fit.distribution is not None and fit.distribution.family == level.distribution.family
        same.append(fits and bool(parameters))
        if not same[-1]:
            out = {p: v for p, v in out.items() if not p.startswith(at)}
    for k in range(len(true) - 1):
        if same[k] and same[k + 1]:
            t, overlap = threshold(true[k], true[k + 1])
            out |= {f"levels[{k}].upper_threshold": t, f"levels[{k}].overlap": overlap}
    if len(true) > 1 and all(same):
        out["bits_per_cell"] = bits(true)
    if RESHAPING & mess.kinds.keys():  # beyond the nearest distribution of the family, tails differ
        return out
    return out | tails_truth(fitted, true)


def tails_truth(fitted: Any, true: list[Any]) -> dict[str, float]:
    """Return error rates at the fitted thresholds, and extrapolated conductances [S]."""
    out: dict[str, float] = {}
    if fitted.tails is None or not all(parameters for _, parameters in true):
        return out
    for t in fitted.tails.tolerance.values():
        if t.lower is not None and t.upper is not None:
            form, p = true[t.level]
            below, up_to = form.cdf(np.array([t.lower.value, t.upper.value]), p)
            out[f"tails.tolerance[{t.level}].inside"] = float(up_to - below)
    for key, rate in fitted.tails.error_rates.items():
        at = np.array([rate.threshold.value])
        (a, p), (b, q) = true[rate.lower], true[rate.upper]
        share = 0.5 * float(a.sf(at, p)[0] + b.cdf(at, q)[0])
        out |= {f"tails.error_rates.{key}.{name}": share for name in ("counted", "extreme")}
    for key, tail in fitted.tails.levels.items():
        form, p = true[tail.level]
        for probability in tail.quantiles:
            share = float(probability) if tail.side == "lower" else 1 - float(probability)
            path = f"tails.levels.{key}.quantiles.{probability}"
            out[path] = float(form.ppf(np.array([share]), p)[0])
    return out


def threshold(below: Any, above: Any) -> tuple[float, float]:
    """Return the best threshold between two distributions [S], and the share misread there."""
    (a, p), (b, q) = below, above
    half = np.array([0.5])
    ends = float(a.ppf(half, p)[0]), float(b.ppf(half, q)[0])

    def lead(t: float) -> float:
        x = np.array([t])
        return float(b.logpdf(x, q)[0] - a.logpdf(x, p)[0])

    t = optimize.brentq(lead, *ends, xtol=1e-15 * ends[1])
    at = np.array([t])
    return t, 0.5 * float(a.sf(at, p)[0] + b.cdf(at, q)[0])


def bits(levels: list[Any]) -> float:
    """Return the mutual information of equally frequent levels and readings."""
    weight = np.exp(-0.5 * Z**2) / np.exp(-0.5 * Z**2).sum()
    total = 0.0
    for k, (form, parameters) in enumerate(levels):
        node = form.ppf(special.ndtr(Z), parameters)
        log_pdf = np.stack([f.logpdf(node, p) for f, p in levels])
        gain = log_pdf[k] - special.logsumexp(log_pdf, axis=0) + math.log(len(levels))
        total += float(weight @ gain) / math.log(2) / len(levels)
    return total


def failed_conductance(card: Any) -> float:
    """Return the median reading of failed cells, which are left at the lowest level [S]."""
    from rramfit.card.families import family

    d = card.levels[0].distribution
    parameters = {name: q.value for name, q in d.parameters.items()}
    return float(family(d.family).ppf(np.array([0.5]), parameters)[0])


def stuck_truth(card: Any, mess: Any) -> dict[str, float]:
    """Return how stuck cells vary, where none moves: lognormal about their median [S].

    The gain of their columns, with mean 1, makes them vary more. A telegraph cell that is stuck
    reads elsewhere after some programmings: it moves. At the low end its two states are too close
    to see.
    """
    from rramfit.array.devices.device_model import DeviceModel
    from rramfit.card.cells import Fault
    from rramfit.measurement.virtual.mess_truth import factor_variance

    out: dict[str, float] = {}
    if mess.moving_stuck:
        return {"stuck.middle_moving": mess.telegraph} if mess.middle_stuck else out
    stuck = DeviceModel.from_card(card).faults.stuck
    for side, fault in (("low", Fault.STUCK_LOW), ("high", Fault.STUCK_HIGH)):
        median, s = stuck[fault].conductance, stuck[fault].spread
        relative = (1 + factor_variance(mess, "column_gain")) * math.exp(s**2) - 1
        out[f"stuck.{side}_std"] = median * math.exp(s**2 / 2) * math.sqrt(relative)
        out[f"stuck.{side}_moving"] = mess.telegraph if side == "high" else 0.0
    if mess.middle_stuck:
        out["stuck.middle_moving"] = mess.telegraph
    return out


def scattered_truth(card: Any, mess: Any) -> dict[str, float]:
    """Return shares of stuck cells and failure probabilities outside clusters of faults.

    The card of an array in which no cluster was found is of arrays without clusters.
    """
    from rramfit.measurement.virtual.synthesize import synthesize

    chip = synthesize(card, sweeps=1, mess=replace(mess, clusters=0.0))
    found = {k: v for k, v in chip.truth.items() if k.startswith("stuck.") or "].probab" in k}
    return {k: float(v) for k, v in found.items()} | stuck_truth(card, mess)


def alive_truth(card: Any, fitted: Any, truth: dict[str, float]) -> dict[str, float]:
    """Return failure probabilities outside dead lines, if the array has none.

    Its card is then of arrays without dead lines, and says in `stuck` how many are possible.
    """
    lines = (card.stuck.dead_rows, card.stuck.dead_cols)
    found = (fitted.stuck.dead_rows, fitted.stuck.dead_cols) if fitted.stuck else ()
    if any(q.value for q in found if q) or not all(lines):
        return {}
    alive = math.prod(1 - q.value for q in lines)
    paths = [p for p in truth if p.startswith("failure[") and p.endswith(".probability")]
    return {p: 1 - (1 - truth[p]) / alive for p in paths}


def converted(card: Any, fitted: Any, truth: dict[str, float]) -> dict[str, float]:
    """Return coefficients at the reference conductance of the fit."""
    out = {}
    if fitted.read_noise is not None and card.read_noise is not None:
        own, fit = card.read_noise, fitted.read_noise
        if "read_noise.coefficient" in truth and fit.reference_conductance is not None:
            ratio = fit.reference_conductance.value / own.reference_conductance.value
            power = own.exponent.value if fit.exponent is not None else 0.0
            out["read_noise.coefficient"] = own.coefficient.value * ratio**power
    if fitted.iv is not None and card.iv is not None:
        own, fit = card.iv, fitted.iv
        ratio = fit.reference_conductance.value / own.reference_conductance.value
        out["iv.nonlinearity"] = own.nonlinearity.value + own.dependence.value * math.log(ratio)
    return out


def readout_truth(card: Any, measurement: Any) -> dict[str, float]:
    """Return the mean nonlinearity of channels over the inputs at which they do not clip [LSB]."""
    import torch

    from rramfit.array.devices.readout import draw_channels
    from rramfit.streams import torch_stream

    r, part = measurement.readout, card.readout
    channels = draw_channels(
        part, 1, 600, generator=torch_stream(0, "study/channels"), dtype=torch.float64
    )
    repeats = r.code.shape[0]
    known = torch.from_numpy(r.input.copy())[None, None, :, None].expand(1, repeats, -1, 600)
    code = channels.digitise(known, generator=torch_stream(0, "study/noise"))[0].numpy()
    usable = ((code > 0) & (code < 2**part.bits - 1)).all(axis=0)
    u = r.input / part.full_scale.value
    inl, ends = [], []
    for use in usable.T:
        x = u[use]
        y = part.third_order.value * x**3
        curve = y - np.polyval(np.polyfit(x, y, 1), x)
        chord = curve[0] + (curve[-1] - curve[0]) * (x - x[0]) / (x[-1] - x[0])
        inl.append(np.abs(curve).max())
        ends.append(np.abs(curve - chord).max())
    return {"readout.inl": float(np.mean(inl)), "readout.inl_endpoint": float(np.mean(ends))}
