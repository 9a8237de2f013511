"""Which factor costs what: each alone, all but one, and all together.

    alone      the network with this factor only, against the network in float32
    without    all factors but this one, against all of them

Factors are those that the setup has on and that its card has something to say of; of the others
there is a list. Where nothing is drawn, one chip stands for all. All cases use the same seed, so
that a factor's chips are the same cells in every case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rramfit.mapping.layers.analog_layers import Laid
from rramfit.mapping.layers.convert import convert_to_analog
from rramfit.mapping.study.evaluation import Evaluation, evaluate
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup

__all__ = ["Ablation", "FactorCost", "ablate", "factors_at_work"]

_DRAWN = frozenset(
    {"d2d", "field", "c2c", "failure", "stuck", "dead_lines", "read", "retention", "readout"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorCost:
    """One factor: accuracy with it alone, and without it."""

    factor: str
    alone: Evaluation
    without: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """All factors of one setup."""

    everything: Evaluation
    factors: tuple[FactorCost, ...]
    absent: tuple[str, ...]  # factors that the card says nothing of, or that are switched off

    def to_json(self) -> dict[str, object]:
        """Give it as JSON types."""
        return {
            "all": self.everything.to_json(),
            "factors": [
                {"factor": f.factor, "alone": f.alone.to_json(), "without": f.without.to_json()}
                for f in self.factors
            ],
            "absent": list(self.absent),
        }


def factors_at_work(setup: AnalogSetup) -> tuple[str, ...]:
    """Factors that are on, and change anything with this card."""
    m = setup.model
    f, age = m.faults, m.ageing
    says = {
        "d2d": bool((m.between > 0).any()),
        "field": any(m.levels.lengths),
        "trend": bool((m.row_trend != 0).any() or (m.col_trend != 0).any()),
        "failure": bool((f.hard > 0).any() or (f.soft > 0).any()),
        "stuck": f.stuck_low > 0 or f.stuck_high > 0,
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
    if setup.origin is not None:  # one measured chip: its faults are its own
        says |= {"stuck": True, "dead_lines": True, "failure": True}
    return tuple(x for x in FACTORS if x in setup.factors and says.get(x, True))


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
    laid: Mapping[str, Laid] | None = None,
    seed: int = 0,
    programmed: Callable[[nn.Module], None] | None = None,
    on_case: Callable[[str, Evaluation], None] | None = None,
) -> Ablation:
    """Evaluate a digital network with factors switched one by one.

    Parameters
    ----------
    model : nn.Module
        The digital network.
    setup : AnalogSetup
    images, labels : tensors
        To be tested on.
    inputs : tensor
        To calibrate on.
    laid : mapping, optional
        As for `convert_to_analog`: scales and placements that every case keeps.
    digital, chips, threshold, seed, programmed
        As for `evaluate`; `chips` for each case.
    on_case : callable (name, evaluation), optional
        Told of each case.
    """
    at_work = factors_at_work(setup)

    def case(name: str, factors: tuple[str, ...]) -> Evaluation:
        analog = convert_to_analog(
            model, setup.with_factors(factors), inputs=inputs, laid=laid, seed=seed
        )
        found = evaluate(
            analog,
            images,
            labels,
            digital=digital,
            chips=chips if _DRAWN & set(factors) or setup.origin is not None else 1,
            threshold=threshold,
            seed=seed,
            programmed=programmed,
        )
        if on_case is not None:
            on_case(name, found)
        return found

    everything = case("all", at_work)
    return Ablation(
        everything=everything,
        factors=tuple(
            FactorCost(
                factor=x,
                alone=case(f"{x} alone", (x,)),
                without=case(f"all but {x}", tuple(f for f in at_work if f != x)),
            )
            for x in at_work
        ),
        absent=tuple(x for x in FACTORS if x not in at_work),
    )
