"""The distribution of a level within its uncertainty.

The parameters of a family with a shape (Student's t, Johnson, mixtures, …) are known poorly and
strongly correlated, its mean and standard deviation are known well. So the shape is taken from
parameters that were drawn, and the distribution is then moved and scaled to

    mean = mean of the stated distribution + shift,   std = its std · stretch

which is an affine map of the conductance, g → mean + (g − mean₀)·std/std₀. It maps a location-scale
family onto itself. Families of positive conductances have two parameters, which follow from mean
and std. A family that is neither, or a shape without a finite std, keeps the stated shape.
"""

from __future__ import annotations

import math

from rramfit.card.conditions.moments import LOCATIONS, affine, with_moments
from rramfit.card.families import family
from rramfit.card.quantity import Quantity
from rramfit.card.schema import Distribution

__all__ = ["drawn_distribution"]


def drawn_distribution(
    stated: Distribution, drawn: Distribution, *, shift: float, stretch: float, anchored: bool
) -> dict[str, Quantity]:
    """Return the parameters of a drawn distribution.

    Parameters
    ----------
    stated, drawn : Distribution
        As in the card, and with every parameter drawn on its own scale.
    shift : float
        Change of the mean [S].
    stretch : float
        Ratio of the standard deviations.
    anchored : bool
        Whether mean and std have errors; otherwise the parameters are used as drawn.
    """
    values = {n: q.value for n, q in stated.parameters.items()}
    shape = {n: q.value for n, q in drawn.parameters.items()}
    if shape != values:
        shape = _normalised(shape)
    elif shift == 0 and stretch == 1:
        return dict(stated.parameters)
    new = _anchored(stated.family, values, shape, shift, stretch) if anchored else shape
    return {n: q.model_copy(update={"value": new[n]}) for n, q in stated.parameters.items()}


def _anchored(
    name: str, stated: dict[str, float], shape: dict[str, float], shift: float, stretch: float
) -> dict[str, float]:
    """Return the drawn shape, or else the stated one, with the mean and the std that are wanted."""
    mean, std = family(name).moments(stated)
    if not (math.isfinite(mean) and math.isfinite(std)):  # heavy tails: move the stated ones
        centre = next((x for n, x in stated.items() if n.startswith(LOCATIONS)), 0.0)
        return affine(stated, stretch, centre, shift)
    found = (with_moments(name, p, mean + shift, std * stretch) for p in (shape, stated))
    return next((p for p in found if p is not None), shape)


def _normalised(parameters: dict[str, float]) -> dict[str, float]:
    """Return mixture parameters with weights that sum to 1."""
    weights = [n for n in parameters if n.startswith("weight_")]
    total = sum(parameters[n] for n in weights)
    return parameters | {n: parameters[n] / total for n in weights if total != 1.0}
