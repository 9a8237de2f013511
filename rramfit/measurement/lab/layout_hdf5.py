"""The layout of a lab's HDF5 or MATLAB v7.3 file: group by group, where each dataset is."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rramfit.measurement.file.groups import GROUPS, PHYSICAL
from rramfit.measurement.lab.layout_parts import ArrayPart, LevelsPart, Part
from rramfit.units import ACCEPTED_UNITS

__all__ = ["HDF5Layout", "HDF5Source", "HDF5Value"]

Scalar = str | bool | int | float


class HDF5Source(Part):
    """What kind of HDF5 file it is."""

    kind: Literal["hdf5", "matlab"]


class HDF5Value(Part):
    """A dataset, its axes in order, and its unit."""

    path: str
    axes: tuple[str, ...] = ()
    units: str | None = None
    take: dict[str, int] = Field(
        default_factory=dict, description="axes of which one place is taken"
    )
    first: int = Field(default=0, description="what the lowest level, row or column is called")
    missing: tuple[float, ...] = ()
    voltage: float | None = Field(default=None, description="[V], for currents read as conductance")


class HDF5Layout(Part):
    """A lab's HDF5 or MATLAB v7.3 file: for each group, dataset by dataset, where it is."""

    array: ArrayPart
    source: HDF5Source
    levels: LevelsPart | None = None
    groups: dict[str, dict[str, HDF5Value | Scalar]]

    @model_validator(mode="after")
    def _follows_the_layout(self) -> Self:
        for name, parts in self.groups.items():
            rule = GROUPS.get(name)
            if rule is None or name == "levels":
                msg = f"[{name}] is no group; groups are {', '.join(n for n in GROUPS)}"
                raise ValueError(msg)
            unknown = [k for k in parts if k not in rule.datasets and k not in rule.attributes]
            if unknown:
                known = ", ".join([*rule.datasets, *rule.attributes])
                msg = f"{name}.{unknown[0]} is not known; [{name}] has {known}"
                raise ValueError(msg)
            for key, dataset in rule.datasets.items():
                _check_dataset(name, key, parts.get(key), dataset.kind, needed=dataset.needed)
            for key, attribute in rule.attributes.items():
                if attribute.needed and key not in parts:
                    msg = f"{name}.{key} is missing"
                    raise ValueError(msg)
        return self


def _check_dataset(group: str, key: str, value: Any, kind: str, *, needed: bool) -> None:
    where = f"{group}.{key}"
    if value is None:
        if needed and key != "level":
            msg = f"{where} is missing"
            raise ValueError(msg)
        return
    if not isinstance(value, HDF5Value):
        msg = f"{where} is a dataset: give path, axes and units"
        raise ValueError(msg)  # noqa: TRY004  (pydantic collects ValueError)
    if kind not in PHYSICAL:
        return
    if value.units is None:
        msg = f"{where}.units is missing; units are never guessed"
        raise ValueError(msg)
    if kind == "conductance" and value.units in ACCEPTED_UNITS["current"]:
        if not value.voltage:
            msg = f"{where} is a current: `voltage` [V] that it was read at is missing"
            raise ValueError(msg)
    elif value.units not in ACCEPTED_UNITS[kind]:
        msg = f"{where}.units = {value.units!r}; accepted: {' '.join(ACCEPTED_UNITS[kind])}"
        raise ValueError(msg)
