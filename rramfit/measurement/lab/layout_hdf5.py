"""Layout files for HDF5, MATLAB and NumPy: path, axes and units of each dataset, by group."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rramfit.measurement.file.contract.groups import GROUPS
from rramfit.measurement.file.contract.rules import PHYSICAL
from rramfit.measurement.lab.layout_parts import (
    ArrayPart,
    LayoutError,
    LevelsPart,
    Part,
    check_unit,
)
from rramfit.units import ACCEPTED_UNITS, unit_name

__all__ = ["HDF5Layout", "HDF5Source", "HDF5Value"]

Scalar = str | bool | int | float
_NO_KEY = {"found": "no such key", "expected": "a value for this key"}


class HDF5Source(Part):
    """The kind of file of arrays; "matlab" has its axes in the order of MATLAB's `size`."""

    kind: Literal["hdf5", "matlab", "numpy"]


class HDF5Value(Part):
    """Path, axes and unit of one dataset."""

    path: str
    axes: tuple[str, ...] = ()
    units: str | None = None
    take: dict[str, int] = Field(
        default_factory=dict, description="axes of which one index is used"
    )
    first: int = Field(default=0, description="number of the lowest level, row or column")
    missing: tuple[float, ...] = ()
    voltage: float | None = Field(
        default=None, description="read voltage [V], if the dataset is a current"
    )

    @field_validator("units")
    @classmethod
    def _name(cls, units: str | None) -> str | None:
        return None if units is None else unit_name(units)


class HDF5Layout(Part):
    """Layout file for HDF5 or MATLAB v7.3, with the datasets of each group."""

    array: ArrayPart
    source: HDF5Source
    levels: LevelsPart | None = None
    groups: dict[str, dict[str, HDF5Value | Scalar]]

    @model_validator(mode="after")
    def _follows_the_layout(self) -> Self:
        for name, parts in self.groups.items():
            rule = GROUPS.get(name)
            if rule is None or name == "levels":
                known = ", ".join(f"[{n}]" for n in GROUPS)
                raise LayoutError(found="an unknown group", expected=f"one of {known}", where=name)
            unknown = [k for k in parts if k not in rule.datasets and k not in rule.attributes]
            if unknown:
                known = ", ".join([*rule.datasets, *rule.attributes])
                where = f"{name}.{unknown[0]}"
                raise LayoutError(found="an unknown key", expected=f"one of {known}", where=where)
            for key, dataset in rule.datasets.items():
                _check_dataset(name, key, parts.get(key), dataset.kind, needed=dataset.needed)
            for key, attribute in rule.attributes.items():
                if attribute.needed and key not in parts:
                    raise LayoutError(**_NO_KEY, where=f"{name}.{key}")
        return self


def _check_dataset(group: str, key: str, value: Any, kind: str, *, needed: bool) -> None:
    where = f"{group}.{key}"
    if value is None:
        if needed and key != "level":
            raise LayoutError(**_NO_KEY, where=where)
        return
    if not isinstance(value, HDF5Value):
        expected = "a dataset, given by path, axes and units"
        raise LayoutError(found=repr(value), expected=expected, where=where)
    if kind not in PHYSICAL:
        return
    if value.units is None:
        raise LayoutError(
            found="no such key", expected="a unit, which is never guessed", where=f"{where}.units"
        )
    if kind == "conductance" and value.units in ACCEPTED_UNITS["current"]:
        if not value.voltage:
            found = "no such key" if value.voltage is None else "0"
            expected = "the nonzero read voltage of this current [V]"
            raise LayoutError(found=found, expected=expected, where=f"{where}.voltage")
    else:
        check_unit(kind, value.units, where=f"{where}.units")
