"""The result of a fit: estimates with covariance and units, and a verdict.

A fit returns one immutable result, always of the same type. Its verdict is a list of findings,
each with a remedy; a fit without findings is ok. A severe finding means that the numbers must not
be used.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rramfit.card.quality import FitQuality
from rramfit.card.quantity import Quantity, quantities_frame, quantities_html
from rramfit.errors import sentence
from rramfit.units import format_estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "FitResult", "ShowsResult", "Verdict", "rank_findings"]

Floats = NDArray[np.float64]

_SAME_SHARE = 0.8  # ratio of the shares of two findings that are one


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, and what to do about it.

    Attributes
    ----------
    what : str
        The problem: one full sentence, with the number.
    remedy : str
        What to do: one imperative sentence.
    severe : bool
        Whether the numbers of the fit must not be used.
    affected : float
        Share of the array's cells or readings that are faulty; 0 where none is, or where the
        finding is about what the measurement cannot determine. It orders the findings.
    cause : str
        What was found, such as "collapse in /retention", where two fits may find the same. Of
        findings with one cause and about the same share, `rank_findings` lists the first.
    code : str
        Its name in docs/reference/findings.md, such as "few-cells"; one for every place in the code
        that makes a finding.
    """

    what: str
    remedy: str
    severe: bool = False
    affected: float = 0.0
    cause: str = ""
    code: str = ""

    def __str__(self) -> str:
        return f"{sentence(self.what)} {sentence(self.remedy)}".rstrip()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a fit can be used: its findings."""

    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    @property
    def word(self) -> Literal["ok", "warning", "bad"]:
        """The verdict as one word."""
        if any(f.severe for f in self.findings):
            return "bad"
        return "warning" if self.findings else "ok"

    def __add__(self, other: Verdict) -> Verdict:
        known = set(self.findings)
        return Verdict(self.findings + tuple(f for f in other.findings if f not in known))

    def to_card(self) -> FitQuality:
        """Return the verdict as an entry of a card's `quality`, findings by importance."""
        findings = sorted(self.findings, key=_importance)
        return FitQuality(
            verdict=self.word,
            findings=[sentence(f.what) for f in findings],
            remedies=[sentence(f.remedy) for f in findings],
        )


def rank_findings(verdicts: Mapping[str, Verdict]) -> list[tuple[str, Finding]]:
    """Return all findings with the names of their fits, the most important first.

    Severe findings come first, then those that affect the larger share of the array; equal ones
    keep the order of the fits. What two fits found is listed once.
    """
    found = [(name, finding) for name, v in verdicts.items() for finding in v.findings]
    found.sort(key=lambda pair: _importance(pair[1]))
    return [
        (name, finding)
        for i, (name, finding) in enumerate(found)
        if not any(_same(finding, earlier) for _, earlier in found[:i])
    ]


def _same(a: Finding, b: Finding) -> bool:
    """Return whether two findings are about one cause, with about the same share of the array."""
    if not a.cause or a.cause != b.cause:
        return False
    shares = sorted((a.affected, b.affected))
    return shares[0] >= _SAME_SHARE * shares[1]


def _importance(finding: Finding) -> tuple[bool, float]:
    return not finding.severe, -finding.affected


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """Estimates of one fit, in order, with their covariance.

    Attributes
    ----------
    title : str
        What was fitted, for printed output.
    estimates : dict of str to Quantity
    covariance : (p, p) array
        In the order of `estimates`; units are the products of theirs.
    n_observations : int
    log_likelihood : float, optional
        If the fit maximises one.
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
            msg = f"covariance has shape {self.covariance.shape}, expected {(p, p)}"
            raise ValueError(msg)
        self.covariance.flags.writeable = False

    def __getitem__(self, name: str) -> float:
        return self.estimates[name].value

    @property
    def correlation(self) -> Floats:
        """Correlation matrix of the estimates, (p, p)."""
        s = np.sqrt(np.diagonal(self.covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.covariance / np.outer(s, s), dtype=np.float64)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per estimate: value, stderr, low, high, unit."""
        return quantities_frame(self.estimates)

    def summary(self) -> str:
        """Return the result as readable text."""
        head = f"{self.title}: n = {self.n_observations}, {self.verdict.word}"
        lines = [head, *(f"  {name:<22} {_show(q)}" for name, q in self.estimates.items())]
        lines += [f"  ! {f}" for f in self.verdict.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(str(f))}</p>" for f in self.verdict.findings)
        title = html.escape(f"{self.title} (n = {self.n_observations}, {self.verdict.word})")
        return f"<p><b>{title}</b></p>{quantities_html(self.estimates)}{notes}"


class ShowsResult:
    """Mixin for a fit that is shown by its `result`: its verdict, text and table."""

    __slots__ = ()
    result: FitResult

    @property
    def verdict(self) -> Verdict:
        """Whether the fit can be used, and what to do if not."""
        return self.result.verdict

    def summary(self) -> str:
        """Return the result as readable text."""
        return self.result.summary()

    def to_frame(self) -> pd.DataFrame:
        """Return one row per estimate: value, stderr, low, high, unit."""
        return self.result.to_frame()

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


def _show(q: Quantity) -> str:
    return format_estimate(q.value, q.ci95, q.unit)
