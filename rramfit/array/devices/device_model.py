"""The device model: the parts of a card that the sampler needs, as tensors on one device.

Level distributions and variation are solved in `rramfit.array.devices.parameters`. This module adds
the other properties of the cells in a card: failures, stuck cells, dead lines, retention, I-V. The
distribution of accepted conductance and the probability of failure are independent: failures do not
change the distribution.

`DeviceModel.without` switches factors off. A factor that is off is replaced by its mean, so that
the variance of the other factors does not change:

    S = mean + [m(D) − mean] + [S(D, E) − m(D)] + trend,   m(D) = E[S | D]
                 d2d            c2c                trend
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.array.devices.ageing import Ageing
from rramfit.array.devices.card_use import left_out
from rramfit.array.devices.latent import conditional_means
from rramfit.array.devices.parameters import LevelParameters, level_parameters
from rramfit.array.devices.quantiles import interpolate, latent_knots
from rramfit.array.devices.read_disturb import ReadDisturb
from rramfit.array.devices.read_noise import ReadNoise, off_level_noise
from rramfit.array.devices.stuck_cells import StuckState, stuck_states, worn_shares
from rramfit.card.cells import Fault
from rramfit.card.conditions.change_at import change_at
from rramfit.card.conditions.reads_at import disturb_shift
from rramfit.card.conditions.wear import failed_by_cycles
from rramfit.card.quantity import Quantity
from rramfit.card.schema import FailureCard, ModelCard, ReadoutCard
from rramfit.errors import ArrayError

__all__ = ["FACTORS", "Conduction", "DeviceModel", "Faults"]

FACTORS = (
    "d2d",
    "field",
    "lines",
    "trend",
    "c2c",
    "failure",
    "stuck",
    "dead_lines",
    "read",
    "retention",
    "nonlinearity",
)
"""Factors that can be off. Without `field` or `lines`, their part of d2d is drawn for each cell."""


_NODES = 257  # states that stand for the distribution of a level
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities of failures, stuck cells and dead lines, and the conductances left by them."""

    hard: Tensor  #       (level,) of cells not stuck: never programs at the level
    soft: Tensor  #       (level,) of the others: fails at one programming
    failed_median: Tensor  # [S] (level,) of failed cells; NaN: the lowest level's distribution
    stuck: Mapping[Fault, StuckState]  # by `Fault.STUCK_LOW`, `STUCK_MIDDLE`, `STUCK_HIGH`
    dead_rows: float
    dead_cols: float
    worn: Mapping[Fault, float] = field(default_factory=dict)  # of cells not stuck: worn out

    @property
    def stuck_share(self) -> float:
        """Share of stuck cells, worn-out ones too, among the cells that are not in dead lines."""
        return sum(self.share(kind) for kind in self.stuck)

    def share(self, kind: Fault) -> float:
        """Return the share of cells stuck or worn out on one side, of those not in dead lines."""
        fresh = 1 - sum(x.share for x in self.stuck.values())
        return self.stuck[kind].share + fresh * self.worn.get(kind, 0.0)

    @property
    def stuck_low(self) -> float:
        """Share of cells stuck low before any wear, of those not in dead lines."""
        return self.stuck[Fault.STUCK_LOW].share

    @property
    def stuck_high(self) -> float:
        """Share of cells stuck high before any wear, of those not in dead lines."""
        return self.stuck[Fault.STUCK_HIGH].share


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduction:
    """I(V) = G0·sinh(bV)/b, with b [1/V] linear in ln G0 or in G0, and at least 0.

    b = nonlinearity + dependence·ln(G0/reference) + slope·(G0 − reference) + spread·ε
    """

    nonlinearity: float  # [1/V]
    dependence: float  # [1/V]
    slope: float  # [1/(V·S)]
    reference: float  # [S]
    spread: float  # [1/V]
    read_voltage: float  # [V] at which a card's conductances are I/V; 0 if unknown


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceModel:
    """Cells of one kind: the distribution of each level, its variation, faults, noise and ageing.

    Attributes
    ----------
    name : str
        The card's.
    shape : (rows, cols)
        Of the card's array; chips of any other size can be drawn.
    levels : LevelParameters
        The latent parameters in float64, as solved from the card.
    assumptions : tuple of str
        Quantities that the card lacks, and the values taken instead.
    """

    name: str
    shape: tuple[int, int]
    levels: LevelParameters
    assumptions: tuple[str, ...]
    factors: frozenset[str]
    target: Tensor  # [S]   (level,) the mean if the card has no target
    mean: Tensor  # [S]   (level,)
    quantiles: Tensor  # [S] (level, knot) of the state, shrunk about the mean
    between: Tensor  #       (level,) a
    mixing: Tensor  #       (level, level) square root of the correlation between levels
    share: Tensor  #       (level,) s
    line_mixing: Tensor  #  (level, level) square root of the lines' correlation between levels
    row_trend: Tensor  # [S per pitch] (level,)
    col_trend: Tensor  # [S per pitch] (level,)
    read_noise: ReadNoise
    lower: Tensor  # [S] (level,) verify window; NaN without one
    upper: Tensor  # [S] (level,)
    ageing: Ageing
    disturb: ReadDisturb
    faults: Faults
    conduction: Conduction | None
    readout: ReadoutCard | None
    _means: list[Tensor] = field(default_factory=list, repr=False)
    _aged: dict[frozenset[str], Ageing] = field(default_factory=dict, repr=False)

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        temperature: float | None = None,
        cycles: int = 0,
    ) -> Self:
        """Make the model of a card.

        Parameters
        ----------
        card : ModelCard
        device, dtype : optional
        temperature : float, optional
            At which cells age [K]; by default that of the card's (first) bake.
        cycles : int
            SET/RESET cycles that every cell has had: by the card's lives, some are worn out.

        Raises
        ------
        RramfitError
            If the card has no levels, a level has no distribution, mean and target, the card has
            no activation energy and the temperature is not that of its bake, or `cycles` is not a
            whole number, 0 or more.
        """
        p = level_parameters(card)
        law = change_at(card, temperature, read=p.read, start=p.mean)
        assumptions = list(p.assumptions)

        def tensor(x: NDArray[np.float64] | list[float]) -> Tensor:
            return torch.as_tensor(np.asarray(x, dtype=np.float64), dtype=dtype, device=device)

        def per_level(quantities: list[Quantity | None], otherwise: float) -> Tensor:
            return tensor([otherwise if q is None else q.value for q in quantities])

        state = p.mean[:, None] + p.shrink[:, None] * (p.table - p.mean[:, None])
        drifts = {d.level: d for d in card.retention.levels} if card.retention else {}
        aged = [drifts.get(level.index) for level in card.levels]
        first_spread = [
            math.sqrt(max(_given(d.first_spread if d else None, 0.0) ** 2 - 2 * noise**2, 0.0))
            for d, noise in zip(aged, p.read, strict=True)
        ]
        pairs = zip(card.levels, p.mean, strict=True)
        target = [mean if x.target is None else x.target.value for x, mean in pairs]
        return cls(
            name=card.name,
            shape=(card.array.rows, card.array.cols),
            levels=p,
            factors=frozenset(FACTORS),
            target=tensor(target),
            mean=tensor(p.mean),
            quantiles=tensor(state),
            between=tensor(p.a),
            mixing=tensor(_square_root(p.correlation)),
            share=tensor(p.s),
            line_mixing=tensor(_square_root(p.line_correlation)),
            row_trend=tensor(p.row_trend),
            col_trend=tensor(p.col_trend),
            read_noise=ReadNoise(
                scale=tensor(p.read_scale),
                reference=tensor(p.read_reference),
                power=p.read_power,
                off_level=off_level_noise(card.read_noise),
            ),
            lower=per_level([x.lower for x in card.levels], math.nan),
            upper=per_level([x.upper for x in card.levels], math.nan),
            ageing=Ageing(
                first_step=per_level([d.first_step if d else None for d in aged], 0.0),
                first_spread=tensor(first_spread),
                drift=per_level([d.drift if d else None for d in aged], 0.0),
                growth=per_level([d.growth if d else None for d in aged], 0.0),
                reference_time=law.reference_time,
                law=None if law.block is None else law,
                temperature=law.temperature,
            ),
            disturb=ReadDisturb(rate=tensor(disturb_shift(card, 1)), mean=tensor(p.mean)),
            faults=_faults(card, p, tensor, assumptions, cycles),
            conduction=_conduction(card, p),
            readout=card.readout,
            assumptions=(*assumptions, *left_out(card, temperature, cycles)),
        )

    @property
    def n_levels(self) -> int:
        """Return the number of levels."""
        return len(self.mean)

    @property
    def device(self) -> torch.device:
        """Return the device of the tensors."""
        return self.mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the tensors."""
        return self.mean.dtype

    def without(self, *factors: str) -> DeviceModel:
        """Return the same model with some factors off.

        Raises
        ------
        ArrayError
            If a factor is unknown.
        """
        unknown = [f for f in factors if f not in FACTORS]
        if unknown:
            msg = f"unknown factor {unknown[0]!r}; expected one of {', '.join(FACTORS)}"
            raise ArrayError(msg)
        return dataclasses.replace(self, factors=self.factors - set(factors))

    def only(self, *factors: str) -> DeviceModel:
        """Return the same model with all factors but these off."""
        kept = self.without(*factors).factors
        return self.without(*kept)

    def state(self, level: Tensor, deviation: Tensor, cycle: Tensor) -> Tensor:
        """Return the conductance of healthy cells after an accepted programming, without trend [S].

        Parameters
        ----------
        level : integer tensor
        deviation : tensor
            The cell's latent deviation D at that level.
        cycle : tensor
            The programming's latent deviation E; both are standard normal.
        """
        d2d, c2c = "d2d" in self.factors, "c2c" in self.factors
        if not d2d and not c2c:
            return self.mean[level].expand(deviation.shape)
        a = self.between[level]
        if not c2c:
            return interpolate(self.conditional_mean, level, deviation)
        z = a * deviation + torch.sqrt((1 - a * a).clamp_min(0)) * cycle
        state = interpolate(self.quantiles, level, z)
        if d2d:
            return state
        return self.mean[level] + state - interpolate(self.conditional_mean, level, deviation)

    @property
    def conditional_mean(self) -> Tensor:
        """Return E[S | D] at the latent knots, (level, knot) [S]."""
        if not self._means:
            p = self.levels
            m = conditional_means(latent_knots(), p.table, p.a)
            m = p.mean[:, None] + p.shrink[:, None] * (m - p.mean[:, None])
            self._means.append(torch.as_tensor(m, dtype=self.dtype, device=self.device))
        return self._means[0]

    @property
    def state_ageing(self) -> Ageing:
        """Return the ageing of the states that the factors leave."""
        key = self.factors & {"d2d", "c2c"}
        if key not in self._aged:
            self._aged[key] = self.ageing.of(self._equally_likely_states())
        return self._aged[key]

    def _equally_likely_states(self) -> Tensor:
        """Return states of every level after programming, (level, node) [S]."""
        at = torch.arange(_NODES, dtype=torch.float64, device=self.device)
        even = torch.special.ndtri((at + 0.5) / _NODES).to(self.dtype)
        # The golden section's multiples fill the interval evenly in any order.
        mixed = torch.special.ndtri((at + 0.5) * _GOLDEN % 1).to(self.dtype)
        level = torch.arange(self.n_levels, device=self.device)[:, None].expand(-1, _NODES)
        if {"d2d", "c2c"} <= self.factors:
            return interpolate(self.quantiles, level, even.expand(level.shape))
        return self.state(level, even.expand(level.shape), mixed.expand(level.shape))


def _square_root(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric square root of a correlation matrix."""
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _given(quantity: Quantity | None, otherwise: float) -> float:
    return otherwise if quantity is None else quantity.value


def _faults(
    card: ModelCard,
    p: LevelParameters,
    tensor: Callable[[list[float]], Tensor],
    assumptions: list[str],
    cycles: int,
) -> Faults:
    stuck = card.stuck
    states = stuck_states(stuck, p)
    healthy = 1 - sum(x.share for x in states.values())
    dead_rows = _given(stuck.dead_rows if stuck else None, 0.0)
    dead_cols = _given(stuck.dead_cols if stuck else None, 0.0)
    alive = (1 - dead_rows) * (1 - dead_cols)
    by_level = {f.level: f for f in card.failure}
    hard, soft, median = [], [], []
    for level in card.levels:
        f = by_level.get(level.index)
        h, s = (0.0, 0.0) if f is None else _shares(f, alive * healthy, assumptions)
        hard.append(h)
        soft.append(s)
        median.append(math.nan if f is None or f.conductance is None else f.conductance.value)

    return Faults(
        hard=tensor(hard),
        soft=tensor(soft),
        failed_median=tensor(median),
        stuck=states,
        dead_rows=dead_rows,
        dead_cols=dead_cols,
        worn=worn_shares(failed_by_cycles(card.endurance, cycles)),
    )


def _shares(f: FailureCard, healthy: float, assumptions: list[str]) -> tuple[float, float]:
    """Return the hard share and the soft probability of cells that are not stuck."""
    if f.hard is not None and f.soft is not None:
        return f.hard.value, f.soft.value
    failing = max(1.0 - (1.0 - f.probability.value) / healthy, 0.0) if healthy > 0 else 0.0
    assumptions.append(
        f"failure[{f.level}] does not separate hard and soft failures; all are taken as soft"
    )
    return 0.0, failing


def _conduction(card: ModelCard, p: LevelParameters) -> Conduction | None:
    iv = card.iv
    if iv is None or iv.nonlinearity is None:
        return None
    return Conduction(
        nonlinearity=iv.nonlinearity.value,
        dependence=_given(iv.dependence, 0.0),
        slope=_given(iv.slope, 0.0),
        reference=_given(iv.reference_conductance, float(p.mean[-1])),
        spread=_given(iv.spread, 0.0),
        read_voltage=_given(card.domain.read_voltage, 0.0),
    )
