"""Cards in other people's tools: exporters, one a target, and importers, one a format.

An exporter turns a card into the files of another program, with a README.md that says how to run
them, what they approximate and what they lack (`contract`, `folder`). An importer turns the device
description of another program into a card of stated numbers (`importing`). Plug-ins add further
ones (`registry`).

Targets: `plain` (tables, drawn chips, distributions), `circuits` (SPICE, Verilog-A, badcrossbar),
`networks` (simulators of networks on arrays).
"""

from rramfit.export.contract import Export, Exporter, ExportError, Limit, Option, OptionError
from rramfit.export.folder import export_card
from rramfit.export.importing import Importer, StatedArray, StatedLevel, stated_card
from rramfit.export.registry import exporters, find_exporter, find_importer, importers

__all__ = [
    "Export",
    "ExportError",
    "Exporter",
    "Importer",
    "Limit",
    "Option",
    "OptionError",
    "StatedArray",
    "StatedLevel",
    "export_card",
    "exporters",
    "find_exporter",
    "find_importer",
    "importers",
    "stated_card",
]
