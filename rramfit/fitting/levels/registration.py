"""Distribution families of the user's own.

A family has two sides: its functions, which every reader of a card needs (`rramfit.card.Family`),
and its likelihood, which fits it to readings (`Likelihood`). `register_distribution` adds both; the
family is then compared with the others by its held-out score, and cards may name it. A
location-scale family only needs its standard distribution in scipy: `register_location_scale`.
"""

from __future__ import annotations

from typing import Any

from rramfit.card.families import Family, register_family
from rramfit.fitting.levels.distribution import register_likelihood
from rramfit.fitting.statistics.likelihood import Likelihood, LocationScaleLikelihood

__all__ = ["register_distribution", "register_location_scale"]


def register_distribution(form: Family, likelihood: Likelihood) -> None:
    """Add a family of level distributions.

    Raises
    ------
    ValueError
        If the name is taken, or family and likelihood have different names.
    """
    if form.name != likelihood.family:
        msg = f"the family is named {form.name!r} and its likelihood {likelihood.family!r}"
        raise ValueError(msg)
    register_family(form)
    register_likelihood(likelihood)


def register_location_scale(name: str, standard: Any) -> None:
    """Add the location-scale family of a standard distribution, with parameters loc and scale [S].

    Parameters
    ----------
    name : str
        Name in a card.
    standard : scipy.stats distribution
        Continuous, on the whole line, with a finite standard deviation.

    Examples
    --------
    >>> from scipy import stats
    >>> register_location_scale("logistic", stats.logistic)  # doctest: +SKIP
    """
    form = Family(
        name=name,
        units={"loc": "S", "scale": "S"},
        positive=False,
        logpdf=lambda g, p: standard.logpdf(g, p["loc"], p["scale"]),
        cdf=lambda g, p: standard.cdf(g, p["loc"], p["scale"]),
        sf=lambda g, p: standard.sf(g, p["loc"], p["scale"]),
        ppf=lambda q, p: standard.ppf(q, p["loc"], p["scale"]),
        moments=lambda p: (
            float(standard.mean(p["loc"], p["scale"])),
            float(standard.std(p["loc"], p["scale"])),
        ),
    )
    register_distribution(form, LocationScaleLikelihood(name, standard))
