"""Ablation: the accuracy cost of each non-ideality, called a factor.

    alone      only this factor is on; compare with the network in float32
    without    all factors but this one are on; compare with all factors

An ablation covers the factors that are on in the setup and described by its card, and lists the
others as absent. It can also leave out helps (`rramfit.mapping.study.conditions.helps`), one by one
with all factors on, which shows what each of them is worth. A case without random factors uses one
chip. All cases use the same seed, so a factor draws the same cells in every case.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rramfit.card.quantity import result_html
from rramfit.mapping.layers.analog_weight import LayerMapping
from rramfit.mapping.layers.convert import convert_to_analog
from rramfit.mapping.study.conditions.helps import without_help
from rramfit.mapping.study.evaluation import Evaluation, evaluate
from rramfit.mapping.tiles.active_factors import active_factors
from rramfit.mapping.tiles.setup import FACTORS, AnalogSetup

__all__ = [
    "Ablation",
    "AblationCase",
    "FactorCost",
    "HelpValue",
    "ablate",
    "ablation_cases",
    "ablation_of",
]

_DRAWN = frozenset(
    {
        *("d2d", "field", "lines", "c2c", "failure", "stuck", "dead_lines", "read"),
        *("retention", "readout", "between"),
    }
)


_ALL = "all"
_WITHOUT_HELP = "without help "


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationCase:
    """One case of an ablation: the factors that are on, and its number of chips.

    Attributes
    ----------
    without : str, optional
        Help that is left out.
    committee : int
        Chips that decide together; `chips` counts committees.
    mirror : bool
        Whether a chip decides on an image and its mirror image together.
    """

    name: str
    factors: tuple[str, ...]
    chips: int
    without: str | None = None
    committee: int = 1
    mirror: bool = False

    def of(self, setup: AnalogSetup) -> AnalogSetup:
        """Return the setup of this case."""
        less = setup if self.without is None else without_help(setup, self.without)
        return less.with_factors(self.factors)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorCost:
    """Accuracy with one factor alone, and with all factors but this one."""

    factor: str
    alone: Evaluation
    without: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpValue:
    """Accuracy with all factors, and without one help."""

    help: str
    without: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Ablation of all active factors of one setup."""

    everything: Evaluation
    factors: tuple[FactorCost, ...]
    absent: tuple[str, ...]  # factors that the card does not describe, or that are switched off
    helps: tuple[HelpValue, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the ablation as JSON types."""
        return {
            "all": self.everything.to_json(),
            "factors": [
                {"factor": f.factor, "alone": f.alone.to_json(), "without": f.without.to_json()}
                for f in self.factors
            ],
            "absent": list(self.absent),
            "helps": [{"help": h.help, "without": h.without.to_json()} for h in self.helps],
        }

    def _repr_html_(self) -> str:
        of = self.everything.measure
        rows = {
            f.factor: {
                "alone": of.text(f.alone.mean.value),
                "all others": of.text(f.without.mean.value),
            }
            for f in self.factors
        }
        rows |= {
            f"without {h.help}": {"all others": of.text(h.without.mean.value)} for h in self.helps
        }
        title = f"All factors: {self.everything.mean.text(of)}"
        return result_html(f"{title}, digital {of.text(self.everything.digital)}", rows)


def ablation_cases(
    setup: AnalogSetup, chips: int, *, helps: Collection[str] = ()
) -> list[AblationCase]:
    """Return the cases: all factors, each factor alone and left out, each help left out."""
    active = active_factors(setup)

    def case(name: str, factors: tuple[str, ...]) -> AblationCase:
        random = bool(_DRAWN & set(factors)) or setup.origin is not None
        return AblationCase(name=name, factors=factors, chips=chips if random else 1)

    cases = [case(_ALL, active)]
    for x in active:
        cases.append(case(f"{x} alone", (x,)))
        cases.append(case(f"all but {x}", tuple(f for f in active if f != x)))
    cases += [dataclasses.replace(case(f"{_WITHOUT_HELP}{x}", active), without=x) for x in helps]
    return cases


def ablation_of(evaluations: Mapping[str, Evaluation]) -> Ablation:
    """Return the ablation with these evaluations, by the names of `ablation_cases`."""
    active = [name.removesuffix(" alone") for name in evaluations if name.endswith(" alone")]
    return Ablation(
        everything=evaluations[_ALL],
        factors=tuple(
            FactorCost(
                factor=x, alone=evaluations[f"{x} alone"], without=evaluations[f"all but {x}"]
            )
            for x in active
        ),
        absent=tuple(x for x in FACTORS if x not in active),
        helps=tuple(
            HelpValue(help=name.removeprefix(_WITHOUT_HELP), without=e)
            for name, e in evaluations.items()
            if name.startswith(_WITHOUT_HELP)
        ),
    )


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
    helps: Collection[str] = (),
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
    helps : collection of str
        Helps to leave out, one by one; without "bn-recalibration", `after_programming` is not
        called.
    on_case : callable (name, evaluation), optional
        Called after each case.
    """
    evaluations: dict[str, Evaluation] = {}
    for case in ablation_cases(setup, chips, helps=helps):
        analog = convert_to_analog(model, case.of(setup), inputs=inputs, mapping=mapping, seed=seed)
        evaluations[case.name] = evaluate(
            analog,
            images,
            labels,
            digital=digital,
            chips=case.chips,
            threshold=threshold,
            seed=seed,
            after_programming=None if case.without == "bn-recalibration" else after_programming,
        )
        if on_case is not None:
            on_case(case.name, evaluations[case.name])
    return ablation_of(evaluations)
