"""Parts of a layout file that logs and HDF5 files share: the array and the levels."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rramfit.units import ACCEPTED_UNITS, unit_name

__all__ = [
    "ArrayPart",
    "EvenLevels",
    "LayoutError",
    "LevelsPart",
    "Part",
    "Positive",
    "TableWindows",
    "check_unit",
    "counted",
    "given_keys",
]

Positive = Annotated[int, Field(gt=0)]


class Part(BaseModel):
    """A part of a layout file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LayoutError(ValueError):
    """An invalid value in a layout file; pydantic adds the key if `where` is not given."""

    def __init__(self, *, found: str, expected: str, where: str = "") -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found, self.expected, self.where = found, expected, where


def check_unit(kind: str, units: str, *, where: str = "") -> str:
    """Return the name of a unit, or raise `LayoutError` if it is not one of this quantity."""
    name = unit_name(units)
    if name not in ACCEPTED_UNITS[kind]:
        expected = f"a unit of {kind}: {' '.join(ACCEPTED_UNITS[kind])}"
        raise LayoutError(found=f"the unit {units!r}", expected=expected, where=where)
    return name


def counted(n: int, singular: str) -> str:
    """Return the number with its noun, in the plural unless `n` is 1."""
    return f"{n} {singular}" if n == 1 else f"{n} {singular}s"


def given_keys(part: BaseModel, *names: str) -> str:
    """Return which of these keys a part has, as text."""
    given = [f"`{name}`" for name in names if getattr(part, name) is not None]
    return " and ".join(given) or "none of them"


class ArrayPart(Part):
    """The measured array; sets the root attributes."""

    id: str
    cell: Literal["1T1R", "2T1R", "1S1R", "1R"]
    rows: Positive
    cols: Positive
    tiles: tuple[Positive, Positive] | None = Field(
        default=None, description="rows and columns of a tile; cuts the array row by row"
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
    die_x: int | None = None
    die_y: int | None = None
    tile_row: int | None = None
    tile_col: int | None = None
    session: str | None = None
    accuracy: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _tiles_fit(self) -> Self:
        if self.tiles and (self.rows % self.tiles[0] or self.cols % self.tiles[1]):
            tile_rows, tile_cols = self.tiles
            raise LayoutError(
                found=f"{self.rows} × {self.cols} cells with tiles of {tile_rows} × {tile_cols}",
                expected="an array that divides evenly into tiles",
            )
        return self


class EvenLevels(Part):
    """`count` adjacent levels with windows of equal width; each target is in the middle."""

    start: float
    stop: float
    count: Positive
    units: str

    @field_validator("units")
    @classmethod
    def _conductance(cls, units: str) -> str:
        if (name := unit_name(units)) not in ("S", "mS", "uS", "nS"):
            raise LayoutError(
                found=f"the unit {units!r}", expected="a conductance unit: S mS uS nS"
            )
        return name


class TableWindows(Part):
    """Columns with the verify window of each row; each distinct window is a level."""

    lower: str
    upper: str
    units: str
    open: tuple[float, ...] = Field(
        default=(),
        description="values of a limit that mean: no limit on this side; besides NaN, an infinite "
        "limit, a resistance of 0 and one of 1 Gohm or more",
    )

    @field_validator("units")
    @classmethod
    def _conductance(cls, units: str) -> str:
        return check_unit("conductance", units)


class LevelsPart(Part):
    """The target levels: listed, evenly spaced, or taken from the windows in the log."""

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
            given = given_keys(self, "target", "evenly", "windows")
            raise LayoutError(found=given, expected="exactly one of `target`, `evenly`, `windows`")
        if self.target is not None:
            if self.units is None:
                raise LayoutError(
                    found="`target` without `units`", expected="the `units` of the levels"
                )
            object.__setattr__(self, "units", check_unit("conductance", self.units))
        for name in ("lower", "upper"):
            limits = getattr(self, name)
            if limits is not None and len(limits) != len(self.target or ()):
                raise LayoutError(
                    found=f"{counted(len(limits), 'value')} in `{name}`",
                    expected=f"{counted(len(self.target or ()), 'value')}, as in `target`",
                )
        return self
