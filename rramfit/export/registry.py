"""The known targets and the known formats to import: those of rramfit, and those of plug-ins.

A plug-in is an entry point of the group `rramfit.exporters` that names an `Exporter`, or of the
group `rramfit.importers` that names an `Importer`. A plug-in that does not load, or that names
something else, is listed with one sentence and does not disturb the others. The names of rramfit
cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Generic, TypeVar

from rramfit.errors import visible
from rramfit.export.contract import Exporter, ExportError
from rramfit.export.importing import Importer

__all__ = [
    "EXPORTERS",
    "IMPORTERS",
    "Known",
    "exporters",
    "find_exporter",
    "find_importer",
    "importers",
]

EXPORTERS = (
    "rramfit.export.plain.csv_tables",
    "rramfit.export.plain.long_table",
    "rramfit.export.plain.npz",
    "rramfit.export.plain.scipy_distributions",
    "rramfit.export.circuits.ngspice",
    "rramfit.export.circuits.verilog_a",
    "rramfit.export.circuits.badcrossbar",
    "rramfit.export.networks.crosssim.exporter",
    "rramfit.export.networks.aihwkit.exporter",
    "rramfit.export.networks.aihwkit.lightning",
    "rramfit.export.networks.neurosim",
    "rramfit.export.networks.memtorch",
    "rramfit.export.networks.xbtorch",
    "rramfit.export.networks.analog_cim_sim",
)
"""Modules of the targets of rramfit, each with its `EXPORTER`, in the order of the list."""

IMPORTERS = (
    "rramfit.export.imports.crosssim",
    "rramfit.export.imports.aihwkit",
    "rramfit.export.imports.neurosim",
)
"""Modules of the formats that rramfit imports, each with its `IMPORTER`."""

_T = TypeVar("_T", bound=Exporter | Importer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Generic[_T]):
    """What was found: objects by name, and one sentence for each plug-in that does not work."""

    found: Mapping[str, _T]
    broken: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names and aliases, and the names of plug-ins that do not work."""
        known = (name for one in self.found.values() for name in (one.name, *one.aliases))
        return (*known, *self.broken)


def exporters() -> Known[Exporter]:
    """Return all targets, and the plug-ins that do not work."""
    return _all(EXPORTERS, "EXPORTER", "rramfit.exporters", Exporter)


def importers() -> Known[Importer]:
    """Return all formats that can be imported, and the plug-ins that do not work."""
    return _all(IMPORTERS, "IMPORTER", "rramfit.importers", Importer)


def find_exporter(name: str) -> Exporter:
    """Return the target with a name or alias.

    Raises
    ------
    ExportError
        If there is none, or if it is a plug-in that does not work.
    """
    return _named(name, exporters(), what="target")


def find_importer(name: str) -> Importer:
    """Return the format to import with a name.

    Raises
    ------
    ExportError
        If there is none, or if it is a plug-in that does not work.
    """
    return _named(name, importers(), what="kind of file")


def _named(name: str, known: Known[_T], *, what: str) -> _T:
    for one in known.found.values():
        if name == one.name or name in one.aliases:
            return one
    if name in known.broken:
        raise ExportError(known.broken[name])
    msg = f"there is no {what} {name!r}; expected one of {', '.join(known.found)}"
    raise ExportError(msg)


def _all(modules: tuple[str, ...], attribute: str, group: str, kind: type[_T]) -> Known[_T]:
    found: dict[str, _T] = {}
    broken: dict[str, str] = {}
    for module in modules:
        one = getattr(import_module(module), attribute)
        found[one.name] = one
    taken = {name for one in found.values() for name in (one.name, *one.aliases)}
    for point in metadata.entry_points(group=group):
        loaded = _loaded(point, kind, taken)
        if isinstance(loaded, str):
            broken[point.name] = loaded
        else:
            found[loaded.name] = loaded
            taken |= {loaded.name, *loaded.aliases}
    return Known(found=found, broken=broken)


def _loaded(point: metadata.EntryPoint, kind: type[_T], taken: set[str]) -> _T | str:
    """Load a plug-in, or say in one sentence why it cannot be used."""
    of = f" of package {point.dist.name}" if point.dist is not None else ""
    label = f"plug-in {point.name!r}{of} ({point.value})"
    try:
        one = point.load()
    except Exception as e:  # noqa: BLE001  # loading a plug-in may raise anything
        return visible(f"the {label} does not load: {type(e).__name__}: {e}. Repair or remove it.")
    if not isinstance(one, kind):
        return visible(
            f"the {label} is a {type(one).__name__}, expected an object of the class "
            f"rramfit.export.{kind.__name__}. Repair or remove it."
        )
    if one.name in taken:
        return visible(
            f"the {label} has the name {one.name!r} of another target. Rename it, or remove it."
        )
    return one
