"""Ablation: the accuracy cost of each non-ideality, called a factor.

    alone      only this factor is on; compare with the network in float32
    without    all factors but this one are on; compare with all factors

An ablation covers the factors that are on in the setup and described by its card, and lists the
others as absent. A case without random factors uses one chip. All cases use the same seed, so a
factor draws the same cells in every case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rramfit.mapping.layers.analog_layers import LayerMapping
from rramfit.mapping.layers.convert import convert_to_analog
from rramfit.mapping.study.evaluation import Evaluation, evaluate
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup

__all__ = ["Ablation", "FactorCost", "ablate", "active_factors"]

_DRAWN = frozenset(
    {
        *("d2d", "field", "lines", "c2c", "failure", "stuck", "dead_lines", "read"),
        *("retention", "readout"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorCost:
    """Accuracy with one factor alone, and with all factors but this one."""

    factor: str
    alone: Evaluation
    without: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Ablation of all active factors of one setup."""

    everything: Evaluation
    factors: tuple[FactorCost, ...]
    absent: tuple[str, ...]  # factors that the card does not describe, or that are switched off

    def to_json(self) -> dict[str, object]:
        """Return the ablation as JSON types."""
        return {
            "all": self.everything.to_json(),
            "factors": [
                {"factor": f.factor, "alone": f.alone.to_json(), "without": f.without.to_json()}
                for f in self.factors
            ],
            "absent": list(self.absent),
        }


def active_factors(setup: AnalogSetup) -> tuple[str, ...]:
    """Return the factors that are on and have an effect with this card."""
    m = setup.model
    f, age = m.faults, m.ageing
    effective = {
        "d2d": bool((m.between > 0).any()),
        "field": any(m.levels.lengths),
        "lines": bool(m.levels.lines),
        "trend": bool((m.row_trend != 0).any() or (m.col_trend != 0).any()),
        "failure": bool((f.hard > 0).any() or (f.soft > 0).any()),
        "stuck": f.stuck_share > 0,
        "dead_lines": f.dead_rows > 0 or f.dead_cols > 0,
        "read": bool((m.read_noise.scale > 0).any()),
        "retention": setup.time >= age.reference_time
        and any(
            bool((x != 0).any()) for x in (age.first_step, age.first_spread, age.drift, age.growth)
        ),
        "nonlinearity": m.conduction is not None,
        "wires": setup.with_factors(FACTORS).has_wires,
        "readout": setup.readout is not None,
    }
    if setup.origin is not None:  # the faults are those of the measured chip, not of the card
        effective |= {"stuck": True, "dead_lines": True, "failure": True}
    return tuple(x for x in FACTORS if x in setup.factors and effective.get(x, True))


def ablate(
    model: nn.Module,
    setup: AnalogSetup,
    images: Tensor,
    labels: Tensor,
    *,
    inputs: Tensor,
    digital: float,
    chips: int = 20,
    threshold: float | None = None,
    mapping: Mapping[str, LayerMapping] | None = None,
    seed: int = 0,
    after_programming: Callable[[nn.Module], None] | None = None,
    on_case: Callable[[str, Evaluation], None] | None = None,
) -> Ablation:
    """Evaluate a digital network with its factors switched one by one.

    Parameters
    ----------
    model : nn.Module
        The digital network.
    setup : AnalogSetup
    images, labels : tensors
        Test data.
    inputs : tensor
        Calibration data.
    mapping : dict of str to LayerMapping, optional
        Scales and placements for all cases, as for `convert_to_analog`.
    digital, chips, threshold, seed, after_programming
        As for `evaluate`; `chips` per case.
    on_case : callable (name, evaluation), optional
        Called after each case.
    """
    active = active_factors(setup)

    def case(name: str, factors: tuple[str, ...]) -> Evaluation:
        analog = convert_to_analog(
            model, setup.with_factors(factors), inputs=inputs, mapping=mapping, seed=seed
        )
        found = evaluate(
            analog,
            images,
            labels,
            digital=digital,
            chips=chips if _DRAWN & set(factors) or setup.origin is not None else 1,
            threshold=threshold,
            seed=seed,
            after_programming=after_programming,
        )
        if on_case is not None:
            on_case(name, found)
        return found

    everything = case("all", active)
    return Ablation(
        everything=everything,
        factors=tuple(
            FactorCost(
                factor=x,
                alone=case(f"{x} alone", (x,)),
                without=case(f"all but {x}", tuple(f for f in active if f != x)),
            )
            for x in active
        ),
        absent=tuple(x for x in FACTORS if x not in active),
    )
