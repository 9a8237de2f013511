"""What every fit gives back: estimates with covariance and units, and a verdict in words.

A fit returns one immutable result, always of the same type. Its health is a list of findings,
each with what to do about it; a fit without findings is ok. A finding is severe where the numbers
must not be used.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quality import FitQuality
from rramfit.card.quantity import Quantity, quantities_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "FitResult", "ShowsResult", "Verdict"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and what to do about it."""

    what: str
    remedy: str
    severe: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a fit may be believed."""

    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings

    @property
    def word(self) -> Literal["ok", "warning", "bad"]:
        """The verdict in one word."""
        if any(f.severe for f in self.findings):
            return "bad"
        return "warning" if self.findings else "ok"

    def __add__(self, other: Verdict) -> Verdict:
        known = set(self.findings)
        return Verdict(self.findings + tuple(f for f in other.findings if f not in known))

    def to_card(self) -> FitQuality:
        """Write the verdict as a part of a card's `quality`."""
        return FitQuality(
            verdict=self.word,
            findings=[f.what for f in self.findings],
            remedies=[f.remedy for f in self.findings],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """Estimates of one fit, in order, with their covariance.

    Attributes
    ----------
    title : str
        What was fitted, for people.
    estimates : dict of str to Quantity
    covariance : (p, p) array
        In the order of `estimates`, in the products of their units.
    n_observations : int
    log_likelihood : float, optional
        Where the fit maximises one.
    verdict : Verdict
    """

    title: str
    estimates: dict[str, Quantity]
    covariance: Floats
    n_observations: int
    log_likelihood: float | None = None
    verdict: Verdict = field(default_factory=Verdict)

    def __post_init__(self) -> None:
        p = len(self.estimates)
        if self.covariance.shape != (p, p):
            msg = f"{p} estimates and a covariance of shape {self.covariance.shape}"
            raise ValueError(msg)
        self.covariance.flags.writeable = False

    def __getitem__(self, name: str) -> float:
        return self.estimates[name].value

    @property
    def correlation(self) -> Floats:
        """Correlation of the estimates, (p, p)."""
        s = np.sqrt(np.diagonal(self.covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.covariance / np.outer(s, s), dtype=np.float64)

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate: value, stderr, low, high, unit."""
        return quantities_frame(self.estimates)

    def summary(self) -> str:
        """Return the result as text for people."""
        head = f"{self.title}: n = {self.n_observations}, {self.verdict.word}"
        lines = [head, *(f"  {name:<22} {_show(q)}" for name, q in self.estimates.items())]
        lines += [f"  ! {f.what}: {f.remedy}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(
            f"<p>{html.escape(f.what)}: {html.escape(f.remedy)}</p>" for f in self.verdict.findings
        )
        title = html.escape(f"{self.title} (n = {self.n_observations}, {self.verdict.word})")
        return f"<p><b>{title}</b></p>{self.to_frame().to_html()}{notes}"


class ShowsResult:
    """A fit that shows itself by its `result`: the same words, table and verdict everywhere."""

    __slots__ = ()
    result: FitResult

    @property
    def verdict(self) -> Verdict:
        """Whether the fit may be believed, and what to do where not."""
        return self.result.verdict

    def summary(self) -> str:
        """Return the result as text for people."""
        return self.result.summary()

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate: value, stderr, low, high, unit."""
        return self.result.to_frame()

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


def _show(q: Quantity) -> str:
    if q.stderr is None or q.ci95 is None:
        return f"{q.value:>13.6g} {q.unit}"
    return f"{q.value:>13.6g} ± {q.stderr:<9.2g} [{q.ci95[0]:.5g}, {q.ci95[1]:.5g}] {q.unit}"
