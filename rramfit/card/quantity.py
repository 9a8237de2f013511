"""A number with its unit and its uncertainty.

An estimated number has a standard error and a 95 % interval. The interval is computed on the scale
on which the estimate is closest to normal, with Student's t if the error has few degrees of
freedom:

    linear   x ± t·s            means, offsets, slopes
    log      x·exp(± t·s/x)     standard deviations, resistances
    logit    on ln(x/(1−x))     shares
    fisher   on artanh(x)       correlations

A given number has neither. A number that was not measured is absent; there are no default values.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rramfit.units import format_estimate, format_quantity, round_estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Finite",
    "Quantity",
    "Scale",
    "Square",
    "interval",
    "quantities",
    "quantities_frame",
    "quantities_html",
    "result_html",
]

Finite = Annotated[float, Field(allow_inf_nan=False)]


def _square(matrix: list[list[float]]) -> list[list[float]]:
    if any(len(row) != len(matrix) for row in matrix):
        msg = f"a matrix of {len(matrix)} rows has {sorted(map(len, matrix))} columns in its rows"
        raise ValueError(msg)
    return matrix


Square = Annotated[list[list[Finite]], AfterValidator(_square)]
"""A square matrix, by rows."""

Scale = Literal["linear", "log", "logit", "fisher"]


class Quantity(BaseModel):
    """A value with unit, standard error and 95 % interval.

    Examples
    --------
    >>> g = Quantity.estimated(83.2e-6, 0.4e-6, "S")
    >>> f"{g.ci95[0] * 1e6:.2f} to {g.ci95[1] * 1e6:.2f}"
    '82.42 to 83.98'
    >>> Quantity.given(5e3, "ohm").stderr is None
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Finite = Field(description="the number, in SI units")
    stderr: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="standard error of an estimate; absent for a given number"
    )
    ci95: tuple[Finite, Finite] | None = Field(None, description="95 % interval")
    unit: str = Field(description="SI symbol, '1' if dimensionless")
    between: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None,
        description="standard deviation between arrays, from several of them; stderr and ci95 are "
        "what one array identifies",
    )
    trend: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None,
        description="standard deviation of the local value's linear trend over the array; one "
        "array cannot show whether other arrays share it",
    )

    @model_validator(mode="after")
    def _interval_needs_an_error(self) -> Self:
        if (self.stderr is None) != (self.ci95 is None):
            msg = "stderr and ci95 must be given together or not at all"
            raise ValueError(msg)
        if self.ci95 is not None and self.ci95[0] > self.ci95[1]:
            msg = f"ci95 {self.ci95} has a lower limit above its upper limit"
            raise ValueError(msg)
        return self

    def __str__(self) -> str:
        return format_estimate(self.value, self.ci95, self.unit)

    def _repr_html_(self) -> str:
        return html.escape("; ".join(f"{name} {text}" for name, text in self.shown().items()))

    def shown(self) -> dict[str, str]:
        """Return what there is, rounded: value, 95 % interval, between, trend."""
        shown = {"value": format_quantity(self.value, self.unit)}
        if self.ci95 is not None:
            e = round_estimate(self.value, self.ci95, self.unit)
            shown = {"value": f"{e.value} {e.unit}".rstrip(), "95 % interval": e.interval}
        for name, more in (("between arrays", self.between), ("trend", self.trend)):
            if more is not None:
                shown[name] = format_quantity(more, self.unit, digits=2)
        return shown

    @classmethod
    def given(cls, value: float, unit: str) -> Self:
        """Return a number that was set, not estimated."""
        return cls(value=float(value), unit=unit)

    @classmethod
    def estimated(
        cls,
        value: float,
        stderr: float,
        unit: str,
        *,
        scale: Scale = "linear",
        df: float = math.inf,
    ) -> Self:
        """Return an estimate with its interval on `scale`, by Student's t with `df`."""
        low, high = interval(value, stderr, scale=scale, df=df)
        return cls(value=float(value), stderr=float(stderr), ci95=(low, high), unit=unit)

    @classmethod
    def within(cls, value: float, stderr: float, unit: str, ci95: tuple[float, float]) -> Self:
        """Return an estimate with an interval computed elsewhere (profile, exact, bootstrap)."""
        return cls(
            value=float(value),
            stderr=float(stderr),
            ci95=(float(ci95[0]), float(ci95[1])),
            unit=unit,
        )

    def drifting(self, trend: float) -> Self:
        """Return the quantity with the trend of its value over the array; unchanged without one."""
        return self.model_copy(update={"trend": trend}) if trend > 0 else self


def interval(
    value: float, stderr: float, *, scale: Scale = "linear", df: float = math.inf
) -> tuple[float, float]:
    """Return the two-sided 95 % interval of an estimate on the given scale.

    For a value at the limit of its scale (a share of 0, a standard deviation of 0) the interval is
    computed on the linear scale and clipped at the limit.
    """
    from scipy import special

    t = float(special.ndtri(0.975)) if math.isinf(df) else float(special.stdtrit(df, 0.975))
    if scale == "log" and value > 0:
        w = t * stderr / value
        return value * math.exp(-w), value * math.exp(min(w, 700.0))
    if scale == "logit" and 0 < value < 1:
        centre, w = math.log(value / (1 - value)), t * stderr / (value * (1 - value))
        return _expit(centre - w), _expit(centre + w)
    if scale == "fisher" and -1 < value < 1:
        w = t * stderr / (1 - value**2)
        return math.tanh(math.atanh(value) - w), math.tanh(math.atanh(value) + w)
    low, high = value - t * stderr, value + t * stderr
    floor = {"linear": -math.inf, "log": 0.0, "logit": 0.0, "fisher": -1.0}[scale]
    ceiling = {"linear": math.inf, "log": math.inf, "logit": 1.0, "fisher": 1.0}[scale]
    return max(low, floor), min(high, ceiling)


def quantities_frame(quantities: Mapping[str, Quantity]) -> pd.DataFrame:
    """Return a table of named quantities: value, stderr, low, high, unit."""
    import pandas as pd

    rows = [
        {
            "value": q.value,
            "stderr": q.stderr,
            "low": q.ci95[0] if q.ci95 else None,
            "high": q.ci95[1] if q.ci95 else None,
            "unit": q.unit,
        }
        for q in quantities.values()
    ]
    return pd.DataFrame(rows, index=list(quantities))


def quantities_html(quantities: Mapping[str, Quantity]) -> str:
    """Return a table of named quantities for Jupyter: rounded, with prefixed units."""
    return _table_html({name: q.shown() for name, q in quantities.items()})


def result_html(
    title: str, rows: Mapping[str, Mapping[str, str]], notes: Iterable[str] = ()
) -> str:
    """Return a result for Jupyter: a bold title, a table of texts, and sentences.

    Parameters
    ----------
    title : str
    rows : dict of str to dict of str to str
        Cells of the table by row and column.
    notes : iterable of str
        Sentences below the table.

    Examples
    --------
    >>> "<td>98.06 %</td>" in result_html("10 chips", {"digital": {"value": "98.06 %"}})
    True
    """
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<p><b>{html.escape(title)}</b></p>{_table_html(rows)}{below}"


def _table_html(rows: Mapping[str, Mapping[str, str]]) -> str:
    import pandas as pd

    return str(pd.DataFrame(list(rows.values()), index=list(rows)).to_html(na_rep=""))


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def quantities(part: BaseModel) -> Iterator[tuple[str, Quantity]]:
    """Iterate over every quantity in a card, or in a part of one, with its key path.

    Examples
    --------
    >>> from rramfit.card.schema import StuckCard
    >>> part = StuckCard(low=Quantity.given(0.01, "1"), high=Quantity.given(0.0, "1"))
    >>> [path for path, _ in quantities(part)]
    ['low', 'high']
    """
    for name, value in part:
        yield from _walk(name, value)


def _walk(path: str, value: object) -> Iterator[tuple[str, Quantity]]:
    if isinstance(value, Quantity):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            yield from _walk(f"{path}.{name}", inner)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}", inner)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _walk(f"{path}[{i}]", inner)
