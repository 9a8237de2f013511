"""Stuck cells: where they are, and how they move from one programming to the next.

Cells that are stuck on one side have a conductance of their own, lognormal over cells,

    G_c = median·exp(spread·z),

and a share of them moves: each programming multiplies it by another exp(motion·ε − motion²/2),
which keeps its mean. `spread` and `motion` are standard deviations of ln G. A card that does not
have the spread of stuck cells gets that of the outermost level, at most 0.5; one that does not say
whether they move gets fixed ones.

Cells that SET/RESET cycles have worn out are stuck cells as well: stuck low or high, or between the
levels where their window has closed. Every cell has its own life and mode, so that a cell that has
failed by some cycles has failed by more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.array.devices.parameters import LevelParameters
from rramfit.card.cells import Fault
from rramfit.card.schema import StuckCard

__all__ = [
    "StuckState",
    "draw_motion",
    "equally_likely_stuck",
    "moved",
    "stuck_conductance",
    "stuck_states",
    "wear_out",
    "worn_shares",
]

_WORN = {
    "stuck low": Fault.STUCK_LOW,
    "stuck high": Fault.STUCK_HIGH,
    "window closure": Fault.STUCK_MIDDLE,
}
_WIDEST = 0.5  # relative spread of stuck cells that a level can give


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckState:
    """Cells that are stuck on one side."""

    share: float  # of cells not in dead lines
    conductance: float  # [S] median over cells
    spread: float  # over cells, of ln G
    moving: float  # share of these cells that move
    motion: float  # between programmings of a moving cell, of ln G


def stuck_states(card: StuckCard | None, p: LevelParameters) -> dict[Fault, StuckState]:
    """Return the states of stuck cells of a card."""
    low, high = float(p.mean[0]), float(p.mean[-1])
    ends = {
        Fault.STUCK_LOW: ("low", low, _level_spread(p, 0)),
        Fault.STUCK_HIGH: ("high", high, _level_spread(p, -1)),
        Fault.STUCK_MIDDLE: ("middle", math.sqrt(max(low, 0.0) * max(high, 0.0)), 0.0),
    }
    return {fault: _state(card, *x) for fault, x in ends.items()}


def _level_spread(p: LevelParameters, k: int) -> float:
    """Return the relative spread of a level, at most 0.5, to use for stuck cells."""
    spread = math.sqrt(float(p.power[k].sum())) / abs(float(p.mean[k])) if p.mean[k] else 0.0
    return min(spread, _WIDEST)


def _state(card: StuckCard | None, side: str, conductance: float, spread: float) -> StuckState:
    def given(name: str, otherwise: float) -> float:
        quantity = getattr(card, name, None)
        return otherwise if quantity is None else float(quantity.value)

    median = given(f"{side}_conductance", conductance)
    std = given(f"{side}_std", math.nan)
    motion = given(f"{side}_motion", 0.0)
    if median > 0 and math.isfinite(std):
        ratio = (std / median) ** 2
        spread = math.sqrt(math.log(0.5 * (1 + math.sqrt(1 + 4 * ratio))))
    mean = median * math.exp(0.5 * spread**2)
    return StuckState(
        share=given(side, 0.0),
        conductance=median,
        spread=spread,
        moving=given(f"{side}_moving", 0.0),
        motion=math.sqrt(math.log1p((motion / mean) ** 2)) if mean > 0 else 0.0,
    )


def stuck_conductance(states: Mapping[Fault, StuckState], fault: Tensor, noise: Tensor) -> Tensor:
    """Return the conductance of stuck cells and dead lines [S].

    Parameters
    ----------
    states : mapping of Fault to StuckState
    fault : integer tensor (chip, row, col)
        Codes of `Fault`; healthy cells get a number without meaning.
    noise : tensor (chip, row, col)
        Standard normal.
    """
    out = torch.zeros_like(noise)  # an open line conducts nothing
    for kind, x in states.items():
        own = x.conductance * torch.exp(x.spread * noise)
        out = torch.where(fault == int(kind), own, out)
    return out


def draw_motion(
    states: Mapping[Fault, StuckState],
    fault: Tensor,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> Tensor | None:
    """Draw which stuck cells move, and return the motion of every cell; None if none does."""
    if not any(x.moving * x.motion > 0 for x in states.values()):
        return None
    u = torch.rand(fault.shape, generator=generator, device=fault.device, dtype=dtype)
    out = torch.zeros_like(u)
    for kind, x in states.items():
        out = torch.where((fault == int(kind)) & (u < x.moving), x.motion, out)
    return out


def moved(conductance: Tensor, motion: Tensor, noise: Tensor) -> Tensor:
    """Return the conductance of moving cells after one more programming [S]."""
    return conductance * torch.exp(motion * noise - 0.5 * motion**2)


def equally_likely_stuck(state: StuckState, z: Tensor) -> Tensor:
    """Return equally likely conductances of one state, fixed and moving cells together [S].

    Parameters
    ----------
    state : StuckState
    z : (n,) tensor
        Standard normal quantiles.
    """
    moving = round(state.moving * len(z)) if state.motion > 0 else 0
    at = torch.linspace(0, len(z) - 1, max(moving, 1), device=z.device).round().long()
    both = math.hypot(state.spread, state.motion)
    moves = torch.exp(both * z[at[:moving]] - 0.5 * state.motion**2)
    rest = torch.linspace(0, len(z) - 1, max(len(z) - moving, 1), device=z.device).round().long()
    fixed = torch.exp(state.spread * z[rest[: len(z) - moving]])
    out: Tensor = state.conductance * torch.cat([fixed, moves]).sort().values
    return out


def worn_shares(failed: Mapping[str, float]) -> dict[Fault, float]:
    """Return shares of worn-out cells by what they become, from those by mode of failure."""
    return {_WORN[mode]: share for mode, share in failed.items()}


def wear_out(fault: Tensor, worn: Mapping[Fault, float], generator: torch.Generator) -> Tensor:
    """Return faults with the cells that have worn out.

    Parameters
    ----------
    fault : integer tensor (chip, row, col)
        Codes of `Fault`; only healthy cells wear out.
    worn : mapping of Fault to float
        Shares of the healthy cells.
    generator : torch.Generator
    """
    life, mode = torch.rand((2, *fault.shape), generator=generator, device=fault.device)
    total = sum(worn.values())
    fails = (life < total) & (fault == int(Fault.OK))
    below, out = 0.0, fault
    for kind, share in worn.items():
        here = fails & (mode >= below / total) & (mode < (below + share) / total)
        out, below = torch.where(here, int(kind), out), below + share
    return out
