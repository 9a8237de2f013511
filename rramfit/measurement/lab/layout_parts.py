"""What layouts of tables and of HDF5 files have in common: the array, and the levels."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rramfit.units import ACCEPTED_UNITS

__all__ = ["ArrayPart", "EvenLevels", "LevelsPart", "Part", "Positive", "TableWindows", "unit_of"]

Positive = Annotated[int, Field(gt=0)]


class Part(BaseModel):
    """A part of a layout file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def unit_of(kind: str, units: str) -> str:
    """Give a unit back that is accepted for this kind of quantity; raises ValueError else."""
    if units not in ACCEPTED_UNITS[kind]:
        msg = f"{units!r} is no unit of {kind}: one of {' '.join(ACCEPTED_UNITS[kind])}"
        raise ValueError(msg)
    return units


class ArrayPart(Part):
    """Which array was measured; becomes the root attributes."""

    id: str
    cell: Literal["1T1R", "2T1R", "1S1R", "1R"]
    rows: Positive
    cols: Positive
    tiles: tuple[Positive, Positive] | None = Field(
        default=None, description="rows and columns of a tile; the array is cut, row by row"
    )
    lot: str | None = None
    wafer: str | None = None
    die: str | None = None
    technology: str | None = None
    instrument: str | None = None
    operator: str | None = None
    comment: str | None = None
    measured_at: str | None = None
    temperature: float | None = None

    @model_validator(mode="after")
    def _tiles_fit(self) -> Self:
        if self.tiles and (self.rows % self.tiles[0] or self.cols % self.tiles[1]):
            msg = f"{self.rows} × {self.cols} cells do not cut into tiles of {self.tiles}"
            raise ValueError(msg)
        return self


class EvenLevels(Part):
    """Levels side by side: `count` windows of equal width, each target in the middle."""

    start: float
    stop: float
    count: Positive
    units: str

    @field_validator("units")
    @classmethod
    def _conductance(cls, units: str) -> str:
        if units not in ("S", "mS", "uS", "nS"):
            msg = f"{units!r}: even levels are even in conductance: S mS uS nS"
            raise ValueError(msg)
        return units


class TableWindows(Part):
    """Columns with the verify window of each row; every distinct window is a level."""

    lower: str
    upper: str
    units: str

    @field_validator("units")
    @classmethod
    def _conductance(cls, units: str) -> str:
        return unit_of("conductance", units)


class LevelsPart(Part):
    """What was asked for: listed, evenly spaced, or found from the windows in the log."""

    target: tuple[float, ...] | None = None
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None
    units: str | None = None
    name: tuple[str, ...] = ()
    evenly: EvenLevels | None = None
    windows: TableWindows | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.target, self.evenly, self.windows)) != 1:
            msg = "one of `target`, `evenly`, `windows`"
            raise ValueError(msg)
        if self.target is not None:
            if self.units is None:
                msg = "`target` needs `units`"
                raise ValueError(msg)
            unit_of("conductance", self.units)
        for name in ("lower", "upper"):
            limits = getattr(self, name)
            if limits is not None and len(limits) != len(self.target or ()):
                msg = f"`{name}` has {len(limits)} levels, `target` {len(self.target or ())}"
                raise ValueError(msg)
        return self
