"""The column read-out chain, channel by channel: gain, offset, nonlinearity, noise.

    code = offset + gain·I + third·(I/full scale)³ + rest + noise

Single channels are fitted in `rramfit.fitting.electrical.readout_curves`, which defines the
nonlinearity; this module estimates means and spreads over channels. A code at a rail is only a
bound, so a point that a channel clipped even once is left out for that channel.

Standard errors are clustered by channel: they apply to the population of channels. Differential
nonlinearity needs the transition of every code and is not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quantity import Quantity, Scale
from rramfit.card.schema import ReadoutCard
from rramfit.errors import FitError
from rramfit.fitting.electrical.readout_curves import (
    TransferCurves,
    best_line,
    rails,
    repeat_noise,
    transfer_curves,
)
from rramfit.fitting.results.axes import axes_or_new
from rramfit.fitting.results.result import Finding, FitResult, ShowsResult, Verdict
from rramfit.fitting.statistics.inference import clustered_covariance
from rramfit.measurement.file.record import Readout
from rramfit.units import format_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReadoutFit", "fit_readout"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_POINTS = 4  # different inputs that a line with a cubic part needs


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutFit(ShowsResult):
    """Transfer function of the read-out chain.

    Attributes
    ----------
    result : FitResult
        Over channels: `gain` [LSB/A], `offset` [LSB], `inl`, `inl_endpoint`, `third_order`,
        `noise` [LSB], `gain_spread` (relative), `offset_spread` [LSB].
    channels : (channel,) array
        Channels that work and have enough unclipped points.
    gain, offset, inl : (channel,) array
        Of these channels [LSB/A], [LSB], [LSB].
    input : (point,) array
        [A]
    distance : (point, channel) array
        Mean code minus the best-fit line [LSB]; NaN where left out.
    smooth : bool
        False where codes deviate from a smooth curve; the nonlinearity is then that of the means.
    clipped : float
        Share of codes at a rail.
    """

    result: FitResult
    bits: int
    full_scale: float
    channels: Integers
    gain: Floats
    offset: Floats
    inl: Floats
    input: Floats
    distance: Floats
    smooth: bool
    clipped: float

    def __post_init__(self) -> None:
        for a in (self.channels, self.gain, self.offset, self.inl, self.input, self.distance):
            a.flags.writeable = False

    def to_card(self) -> ReadoutCard:
        """Return the read-out part of the card."""
        e = self.result.estimates
        return ReadoutCard(
            bits=self.bits,
            full_scale=Quantity.given(self.full_scale, "A"),
            gain=e["gain"],
            offset=e["offset"],
            inl=e["inl"],
            inl_endpoint=e["inl_endpoint"],
            third_order=e["third_order"],
            noise=e.get("noise"),
            gain_spread=e.get("gain_spread"),
            offset_spread=e.get("offset_spread"),
            clipped=self.clipped,
            channels=self.channels.tolist(),
            channel_gain=self.gain.tolist(),
            channel_offset=self.offset.tolist(),
            channel_inl=self.inl.tolist(),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the distance of every channel from its best-fit line."""
        ax = axes_or_new(ax)
        ax.plot(self.input * 1e6, self.distance, lw=0.6, alpha=0.5, color="C0", rasterized=True)
        ax.axhline(0, color="grey", lw=0.8)
        ax.set_xlabel("input current [uA]")
        ax.set_ylabel("distance from best-fit line [LSB]")
        return ax


def fit_readout(readout: Readout) -> ReadoutFit:
    """Fit the transfer function of every channel, with means and spreads over channels.

    Parameters
    ----------
    readout : Readout
        Codes [LSB], (repeat, point, channel), at known inputs [A].

    Raises
    ------
    FitError
        If no channel has unclipped codes at 4 different inputs, codes change by less than 1 LSB, or
        no channel has a gain near the median.
    """
    code = np.asarray(readout.code, dtype=np.float64)
    low, high = rails(readout.bits, code)
    seen: Bools = np.isfinite(code)
    at_rail: Bools = seen & ((code <= low) | (code >= high))
    usable = np.asarray(seen.any(axis=0) & ~at_rail.any(axis=0), dtype=np.bool_)
    repeats = np.where(usable, seen.sum(axis=0), 0)
    mean = np.where(seen, code, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    x = np.asarray(readout.input, dtype=np.float64) / readout.full_scale
    enough: Bools = np.array(
        [np.unique(x[usable[:, c]]).size >= MIN_POINTS for c in range(code.shape[2])],
        dtype=np.bool_,
    )
    if not enough.any():
        best = max((int(np.unique(x[u]).size) for u in usable.T), default=0)
        msg = (
            f"/readout: the best channel has unclipped codes at {best} different inputs; expected "
            f"at least {MIN_POINTS}"
        )
        raise FitError(msg)
    lines = np.full((2, code.shape[2]), np.nan)
    for c in np.flatnonzero(enough):
        lines[:, c] = best_line(x[usable[:, c]], mean[usable[:, c], c])
    typical = float(np.median(lines[1, enough]))
    span = abs(typical) * float(np.ptp(x))
    if span < 1:
        msg = f"/readout: codes change by {span:.2g} LSB over all inputs; expected at least 1 LSB"
        raise FitError(msg)
    # A gain that deviates by half means a broken channel, not channel-to-channel spread.
    working: Bools = enough & (np.abs(lines[1] / typical - 1) < 0.5)
    channels = np.flatnonzero(working)
    if channels.size == 0:
        msg = (
            "/readout: no channel has a gain within 50 % of the median of "
            f"{typical:.3g} LSB per full scale"
        )
        raise FitError(msg)
    variance, df = repeat_noise(np.where(seen, code, np.nan)[:, :, channels], usable[:, channels])
    curves = transfer_curves(
        x, mean[:, channels], usable[:, channels], repeats[:, channels], variance, df
    )
    fit = _assemble(curves, variance, df, readout.full_scale)
    share = float(at_rail.sum() / max(seen.sum(), 1))
    findings = _findings(code.shape[0], share, enough, working, curves)
    return ReadoutFit(
        result=FitResult(
            title="read-out chain",
            estimates=fit.estimates,
            covariance=np.array(fit.covariance),
            n_observations=int((seen & usable)[:, :, channels].sum()),
            verdict=Verdict(tuple(findings)),
        ),
        bits=readout.bits,
        full_scale=readout.full_scale,
        channels=channels.astype(np.int64),
        gain=curves.gain / readout.full_scale,
        offset=curves.offset,
        inl=curves.inl.channel,
        input=np.array(readout.input, dtype=np.float64),
        distance=curves.distance,
        smooth=curves.smooth,
        clipped=share,
    )


@dataclass(frozen=True, slots=True)
class _Assembled:
    estimates: dict[str, Quantity]
    covariance: Floats


def _assemble(c: TransferCurves, variance: Floats, df: Floats, full_scale: float) -> _Assembled:
    """Estimate means and spreads over channels; below 3 channels, with errors of the fits only."""
    n = len(c.gain)
    rows: list[tuple[str, str, Scale, float, Floats, float]] = []  # influence, error of the fits
    means: tuple[tuple[str, str, Floats, Scale, float], ...] = (
        ("gain", "LSB/A", c.gain, "linear", full_scale),
        ("offset", "LSB", c.offset, "linear", 1.0),
        ("third_order", "LSB", c.third_order, "linear", 1.0),
    )
    for i, (name, unit, values, scale, per) in enumerate(means):
        error = math.sqrt(float((c.error[i] ** 2).sum())) / n
        m = float(values.mean())
        rows.append((name, unit, scale, m / per, (values - m) / n / per, error / per))
    largest = {"inl": c.inl, "inl_endpoint": c.inl_endpoint}
    for name, x in largest.items():
        rows.append((name, "LSB", "linear", x.of_curves, x.influence, x.stderr))
    power = variance if (df > 0).any() else c.residual_variance
    if float(power.mean()) > 0:
        noise = math.sqrt(float(power.mean()))
        total = float(df.sum()) if (df > 0).any() else float(np.isfinite(c.distance).sum())
        psi = (power - power.mean()) / n / (2 * noise)
        rows.append(("noise", "LSB", "log", noise, psi, noise / math.sqrt(2 * max(total, 1))))
    if n >= 3:
        for i, (name, unit, values) in enumerate(
            (("gain_spread", "1", c.gain / c.gain.mean()), ("offset_spread", "LSB", c.offset))
        ):
            scale_of = float(c.gain.mean()) if i == 0 else 1.0
            r2 = (values - values.mean()) ** 2 * n / (n - 1)
            s2 = float(r2.mean()) - float((c.error[i] ** 2).mean()) / scale_of**2
            s = math.sqrt(max(s2, 0.0))
            if s > 0:
                rows.append((name, unit, "log", s, (r2 - r2.mean()) / n / (2 * s), 0.0))
    psi = np.stack([r[4] for r in rows])
    if n >= 3:
        clustered = clustered_covariance(psi[:, None, :] * math.sqrt(n / (n - 1)), spatial=False)
        covariance, dfs = np.array(clustered.covariance), clustered.df
    else:
        covariance = np.diag([r[5] ** 2 for r in rows])
        dfs = np.full(len(rows), math.inf)
    estimates = {}
    for i, (name, unit, scale, value, _, _) in enumerate(rows):
        error, known = math.sqrt(covariance[i, i]), float(dfs[i])
        estimates[name] = (
            largest[name].quantity(error, known)
            if name in largest
            else Quantity.estimated(value, error, unit, scale=scale, df=known)
        )
    return _Assembled(estimates, covariance)


def _findings(
    repeats: int, clipped: float, enough: Bools, working: Bools, c: TransferCurves
) -> list[Finding]:
    out: list[Finding] = []
    if (broken := np.flatnonzero(enough & ~working)).size:
        out.append(
            Finding(
                f"{broken.size} of {len(enough)} channels have a gain more than 50 % off the median"
                f" and were left out: {_listed(broken)}",
                "Treat these columns as dead, or check their amplifiers",
                severe=bool(broken.size > 0.2 * len(enough)),
                code="channel-gain",
            )
        )
    if (clipping := np.flatnonzero(~enough)).size:
        out.append(
            Finding(
                f"{clipping.size} of {len(enough)} channels have unclipped codes at fewer than "
                f"{MIN_POINTS} inputs: {_listed(clipping)}",
                "Measure these channels over the range in which they do not clip",
                severe=bool(clipping.size > 0.2 * len(enough)),
                code="channels-clip",
            )
        )
    if clipped > 0.05:
        out.append(
            Finding(
                f"{format_percent(clipped)} of codes are at a rail and were left out",
                "Lower the largest input, or set the full scale according to this fit",
                code="codes-at-a-rail",
            )
        )
    if repeats < 2:
        out.append(
            Finding(
                "Every point was measured once, so the noise was estimated from the distance to a "
                "smooth curve",
                "Repeat every point at least 8 times",
                code="one-repeat",
            )
        )
    if not c.smooth:
        out.append(
            Finding(
                "Codes deviate from a smooth curve by more than noise, so the nonlinearity is that "
                "of the mean codes and includes their noise where channels differ",
                "Check for missing codes or steps of the converter at half and quarter scale",
                code="codes-not-smooth",
            )
        )
    if (falling := np.flatnonzero(c.steps_back > 0)).size:
        out.append(
            Finding(
                f"Codes of {falling.size} of {len(c.gain)} channels decrease while the input "
                f"increases: {_listed(np.flatnonzero(working)[falling])}",
                "Check for missing codes, and for inputs that had not settled",
                code="codes-not-monotonic",
            )
        )
    return out


def _listed(channels: Integers) -> str:
    shown = ", ".join(str(k) for k in channels[:8].tolist())
    return shown if channels.size <= 8 else f"{shown}, …"
