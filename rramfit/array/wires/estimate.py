"""A fast estimate of the effective matrix, for training: closed form times a correction.

A cell's current reaches its column through two dividers, one along each wire. To first order in
wire over cell resistance, with rho_k the resistance from row k's bitline node to virtual ground and
omega_k that from the source to column k's wordline node,

    T = alpha G beta
    alpha[i, j] = [1 + r_bl sum_{k<i} (i-k) G[k, j]] / [1 + sum_k rho_k G[k, j]]
    beta[i, j]  = [1 + r_wl sum_{k>j} (k-j) G[i, k]] / [1 + sum_k omega_k G[i, k]]

which is two pairs of cumulative sums. Driven from both ends, beta is 1/(1 + R_row G). Where wires
matter, the closed form alone has an error of several per cent. A correction C, T = C alpha G beta,
reduces it:

anchored   C = T_exact / (alpha G0 beta) at a reference state G0 of the same tile. The error stays
           small while cells change by up to 15 %; when all cells are new, the tile needs a new
           anchor. A nearly open cell still has an entry in T, through the other cells; there the
           anchor is a sum, T = C alpha G beta + rest, with the tile's mean C.
smooth     C is a polynomial of low degree in position, learned from sampled tiles of one card. It
           needs no anchor, and applies to any tile with the statistics of the sampled ones.

With gated or floating rows, T depends on which rows are on. All drivers of a floating row are off,
at both ends of a two-ended row. C is then kept at several shares of active rows: its mean over
random sets of rows, with bitlines loaded by that share of their cells. From share to share the
matrices change in few ways,

    T(u) = sum_k w_k(u) T_k      T_k = sum_d w_k(d) T(d)

with w the leading singular vectors of T at the anchor, over shares. Gated rows use two, since the
others are noise of the random sets; floating rows use all. Between the kept shares, and below the
lowest, w is linear in the share of a vector's active rows. If only some rows are ever active, as
for a matrix of few inputs, pass them: sets and shares are then taken of these rows alone, because
wires drop another share of the voltage elsewhere on the columns. The remaining error is measured by
`rramfit.array.wires.certificate`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.wires.effective import effective_matrix, floating_matrix
from rramfit.array.wires.line import LineResistance
from rramfit.array.wires.wire_operator import Wires
from rramfit.array.wires.wire_ports import wire_ports
from rramfit.errors import ArrayError
from rramfit.streams import torch_stream

__all__ = ["CrossbarEstimate", "alpha_beta", "anchored_estimate", "smooth_estimate"]

DENSITIES = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Shares of active rows at which corrections are kept, if T depends on the share."""

PATTERNS = 4
"""Random sets of rows over which the correction at one share is averaged."""

GATED_TERMS = 2
"""Terms of the matrices of gated rows from share to share; a third one is noise."""

OPEN_SHARE = 0.01
"""Share of the tile's mean closed form below which a cell counts as open."""

DEGREE = 4
"""Degree of the smooth correction along either axis; a higher degree changes nothing."""


def _beyond(x: Tensor) -> Tensor:
    """Return the sum over k > j of (k - j) x[..., k]."""
    after = x.flip(-1).cumsum(-1).flip(-1)
    return after.flip(-1).cumsum(-1).flip(-1) - after


def alpha_beta(
    conductance: Tensor, line: LineResistance, *, densities: Sequence[float] = (1.0,)
) -> Tensor:
    """Estimate the effective matrix in closed form.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        [S].
    line : LineResistance
        Without broken segments.
    densities : sequence of float
        Shares of a bitline's cells that load it.

    Returns
    -------
    (density, ..., m, n) tensor
        [S]; differentiable in conductances and resistances.

    Raises
    ------
    ArrayError
        If a segment is broken: the closed form has no term for it.
    """
    if line.broken:
        msg = "the closed form has no broken segments; use an anchored estimate"
        raise ArrayError(msg)
    return _closed_form(conductance, line, densities)


def _closed_form(g: Tensor, line: LineResistance, densities: Sequence[float]) -> Tensor:
    wires = Wires.of(line, g)
    n = g.shape[-1]
    before = g.cumsum(-2)
    above = wires.r_bl * (before.cumsum(-2) - before)  # r_bl sum_{k<i} (i-k) G: includes no k = i
    load = (wires.r_sense * before[..., -1:, :]) + above[..., -1:, :]
    if line.drive == "both":
        beta = 1 / (1 + wires.row_drop(g))
    else:
        full = (wires.from_source(n) * g).sum(-1, keepdim=True)
        beta = (1 + wires.r_wl * _beyond(g)) / (1 + full)
    g_beta = g * beta
    return torch.stack([(1 + d * above) / (1 + d * load) * g_beta for d in densities])


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossbarEstimate:
    """Closed form with a correction. To renew the anchor, make a new estimate."""

    line: LineResistance
    densities: tuple[float, ...]  # rising shares of active rows; (1,) if T does not depend on them
    correction: Tensor  # (density, ..., m, n), or (density, m, n) for any tile
    rest: Tensor | None  # [S] like the correction: entries of nearly open cells
    anchored: bool  # at the tiles that it is used for
    rows: Tensor | None = None  # (..., m) bool: the rows that are ever active; None: all
    weights: Tensor | None = None  # (density, term) orthonormal, of several densities

    def matrices(self, conductance: Tensor) -> Tensor:
        """Return the effective matrix at each share of active rows, (density, ..., m, n) [S]."""
        closed = _closed_form(_seen(conductance, self.line, self.rows), self.line, self.densities)
        c = self.correction.to(conductance)
        if c.ndim < closed.ndim:  # smooth: for any tile
            c = c.reshape(c.shape[0], *(1,) * (closed.ndim - c.ndim), *c.shape[1:])
        return c * closed if self.rest is None else c * closed + self.rest.to(conductance)

    def column_currents(
        self, conductance: Tensor, voltage: Tensor, *, active: Tensor | None = None
    ) -> Tensor:
        """Return column currents [A], (..., vector, n); arguments as of `column_currents`."""
        return self.currents(self.matrices(conductance), voltage, active=active)

    def currents(self, t: Tensor, voltage: Tensor, *, active: Tensor | None = None) -> Tensor:
        """Return column currents [A] for matrices from `matrices`, to use them many times."""
        on = (voltage != 0) if active is None else active
        v = torch.where(on, voltage, torch.zeros_like(voltage))
        if len(self.densities) == 1:
            return v @ t[0]
        share = on.to(v.dtype).mean(-1)
        if self.rows is not None:
            share = share / self.rows.to(v).mean(-1)[..., None]
        out = torch.zeros((), dtype=v.dtype, device=v.device)
        for term, weight in zip(self.terms(t), self.weights_at(share), strict=True):
            out = out + (weight[..., None] * v) @ term
        return out

    def terms(self, t: Tensor) -> Tensor:
        """Return matrices (term, ..., m, n) [S] whose weighted sum is T at any share of rows.

        Parameters
        ----------
        t : (density, ..., m, n) tensor
            From `matrices`.
        """
        if self.weights is None:
            return t
        return torch.einsum("dk,d...->k...", self.weights.to(t), t)

    def weights_at(self, share: Tensor) -> Tensor:
        """Return the weights of the terms at shares of active rows, (term, ...)."""
        if self.weights is None:
            return torch.ones_like(share)[None]
        at, upper = self.between(share, beyond=True)
        kept = self.weights.to(share).T
        return torch.lerp(kept[:, at - 1], kept[:, at], upper)

    def between(self, share: Tensor, *, beyond: bool = False) -> tuple[Tensor, Tensor]:
        """Find the kept shares around shares of active rows, limited at either end.

        Parameters
        ----------
        share : tensor
        beyond : bool
            Below the lowest kept share, extrapolate from the lowest two.

        Returns
        -------
        at : int64 tensor like `share`
            Index of the kept share above.
        upper : tensor like `share`
            Its weight; the kept share below has the weight 1 - `upper`.
        """
        d = torch.tensor(self.densities, dtype=share.dtype, device=share.device)
        share = share.clamp(0.0 if beyond else self.densities[0], self.densities[-1])
        at = torch.searchsorted(d, share.contiguous()).clamp(1, len(d) - 1)
        return at, (share - d[at - 1]) / (d[at] - d[at - 1])


def _densities(line: LineResistance, densities: Sequence[float] | None) -> tuple[float, ...]:
    if line.inactive_rows == "grounded":
        return (1.0,)
    chosen = tuple(sorted(DENSITIES if densities is None else densities))
    if len(chosen) < 2 or not chosen[0] > 0 or not chosen[-1] <= 1:
        msg = f"densities are {chosen}; expected at least two shares above 0 and at most 1"
        raise ArrayError(msg)
    return chosen


def _seen(g: Tensor, line: LineResistance, rows: Tensor | None) -> Tensor:
    """Return the cells, with zeros in gated rows that are never active."""
    if rows is None or line.inactive_rows != "gated":
        return g
    return g * rows[..., None].to(g)


def _exact_at(
    g: Tensor,
    line: LineResistance,
    densities: tuple[float, ...],
    patterns: int,
    seed: int,
    rows: Tensor | None = None,
) -> Tensor:
    """Return the exact effective matrix at each density, the mean over random sets of rows."""
    if densities == (1.0,):
        return effective_matrix(g, line)[None]
    m, n = g.shape[-2:]
    ports = wire_ports(g.reshape(-1, m, n), line) if line.inactive_rows == "floating" else None
    usable = (torch.ones(m, dtype=torch.bool) if rows is None else rows).to(g.device)
    most = usable.sum(-1, keepdim=True)
    generator = torch_stream(seed, "active rows")
    out = []
    for density in densities:
        total, count = torch.zeros_like(g), torch.zeros_like(g)
        for _ in range(patterns if density < 1 else 1):
            drawn = torch.rand(m, generator=generator).to(g.device)
            order = torch.where(usable, drawn, torch.full_like(drawn, 2.0)).argsort(-1).argsort(-1)
            on = (order < (density * most).round().clamp_min(1)) & usable
            if ports is None:
                t = effective_matrix(g * on[..., None], line)
            else:
                t = floating_matrix(ports, on.expand(g.shape[:-1]).reshape(-1, m)).reshape(g.shape)
            total, count = total + t, count + on[..., None]
        mean = total / count.clamp(min=1)
        out.append(torch.where(count > 0, mean, torch.full_like(mean, torch.nan)))
    return torch.stack(out)


def anchored_estimate(
    conductance: Tensor,
    line: LineResistance,
    *,
    densities: Sequence[float] | None = None,
    rows: Tensor | None = None,
    patterns: int = PATTERNS,
    seed: int = 0,
) -> CrossbarEstimate:
    """Make an estimate that is exact at the given state of the given tiles.

    Parameters
    ----------
    conductance : (..., m, n) tensor
        Reference state [S].
    line : LineResistance
    densities : sequence of float, optional
        Shares of active rows at which to anchor if rows float or are gated.
    rows : (..., m) bool tensor, optional
        The rows of each tile that are ever active; shares are of these. All by default.
    patterns : int
        Random sets of rows averaged at each share.
    seed : int
        Of those sets.

    Returns
    -------
    CrossbarEstimate
        For these tiles; costs one exact solve, or one per share and set of rows.
    """
    with torch.no_grad():
        at = _densities(line, densities)
        exact = _exact_at(conductance, line, at, patterns, seed, rows)
        closed = _closed_form(_seen(conductance, line, rows), line, at)
        known = ~exact.isnan()
        exact, seen = exact.nan_to_num(0.0), torch.where(known, closed, torch.zeros_like(closed))
        covered = seen.sum((-2, -1), keepdim=True)
        some = covered != 0
        mean = exact.sum((-2, -1), keepdim=True) / torch.where(
            some, covered, torch.ones_like(covered)
        )
        size = closed.abs().mean((-2, -1), keepdim=True)
        conducts = known & (closed.abs() > OPEN_SHARE * size)
        ratio = exact / torch.where(conducts, closed, torch.ones_like(closed))
        correction = torch.where(conducts, ratio, mean)
        estimate = CrossbarEstimate(
            line=line,
            densities=at,
            correction=correction,
            rest=torch.where(known & ~conducts, exact - mean * closed, torch.zeros_like(closed)),
            anchored=True,
            rows=None if at == (1.0,) else rows,
        )
        return _with_weights(estimate, conductance)


def smooth_estimate(
    conductance: Tensor,
    line: LineResistance,
    *,
    densities: Sequence[float] | None = None,
    degree: int = DEGREE,
    patterns: int = PATTERNS,
    seed: int = 0,
) -> CrossbarEstimate:
    """Make an estimate for any tile with the statistics of the given ones.

    The correction C depends on position alone. It is the polynomial for which the residual
    T_exact - C T_closed, summed over the sampled tiles, is orthogonal to each of its terms: column
    currents are sums of T, and are then unbiased.

    Parameters
    ----------
    conductance : (tile, m, n) tensor
        Sampled tiles [S]; four are enough at 128 x 128.
    line : LineResistance
        Without broken segments.
    densities, patterns, seed
        As for `anchored_estimate`.
    degree : int
        Of the polynomial, along either axis.

    Returns
    -------
    CrossbarEstimate
    """
    with torch.no_grad():
        at = _densities(line, densities)
        m, n = conductance.shape[-2:]
        closed = alpha_beta(conductance, line, densities=at)
        exact = _exact_at(conductance, line, at, patterns, seed)
        known = ~exact.isnan()
        closed_sum = torch.where(known, closed, torch.zeros_like(closed)).sum(1)
        exact_sum = exact.nan_to_num(0.0).sum(1)
        p, q = (_chebyshev(k, min(degree, k - 1), conductance) for k in (m, n))
        size = p.shape[1] * q.shape[1]
        out = []
        for a, t in zip(closed_sum, exact_sum, strict=True):
            normal = torch.einsum("ia,jb,ij,ic,jd->abcd", p, q, a, p, q).reshape(size, size)
            moments = (p.mT @ t @ q).reshape(size)
            out.append(p @ torch.linalg.solve(normal, moments).reshape(p.shape[1], -1) @ q.mT)
        estimate = CrossbarEstimate(
            line=line, densities=at, correction=torch.stack(out), rest=None, anchored=False
        )
        return _with_weights(estimate, conductance)


def _with_weights(estimate: CrossbarEstimate, conductance: Tensor) -> CrossbarEstimate:
    """Find the terms in which matrices change from share to share."""
    if len(estimate.densities) == 1:
        return estimate
    count = GATED_TERMS if estimate.line.inactive_rows == "gated" else None
    t = estimate.matrices(conductance).flatten(1).double()
    _, terms = torch.linalg.eigh(t @ t.T)  # in the order of rising share of T²
    return dataclasses.replace(estimate, weights=terms.flip(1)[:, :count].to(conductance))


def _chebyshev(count: int, degree: int, like: Tensor) -> Tensor:
    """Return Chebyshev polynomials over positions, (count, degree + 1)."""
    x = torch.linspace(-1, 1, count, dtype=like.dtype, device=like.device)
    columns = [torch.ones_like(x), x]
    while len(columns) <= degree:
        columns.append(2 * x * columns[-1] - columns[-2])
    return torch.stack(columns[: degree + 1], -1)
