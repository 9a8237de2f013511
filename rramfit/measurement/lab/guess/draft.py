"""Draft of a layout file for a table: the array, the columns with reasons, and the groups.

Every guess carries a comment with its reason. What the log does not contain and a measurement file
needs, such as the read voltage, is assumed and marked CHECK, so that `convert` takes the draft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rramfit.measurement.lab.guess.cells import Cells, find_cells
from rramfit.measurement.lab.guess.groups import choose_section
from rramfit.measurement.lab.guess.log import Log, Section, toml_key, toml_text
from rramfit.measurement.lab.guess.roles.assign import assign_roles
from rramfit.measurement.lab.guess.roles.role import NOT_SURE, Role, Roles
from rramfit.measurement.lab.guess.sample import Sample, read_sample

__all__ = ["draft_table"]

_SHORT = {
    "address": "addr", "resistance": "r", "conductance": "g", "current": "i", "voltage": "v",
    "lower": "low", "upper": "high", "flag": "ok", "initial": "before", "final": "after",
}  # fmt: skip

_UNUSED = dict.fromkeys(
    ("resistance", "conductance", "current", "hrs", "lrs"), "another column of readings"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # not allowed in TOML, not even in comments


def draft_table(path: Path, also: Sequence[Path] = (), *, group: str | None = None) -> str:
    """Return the draft of a layout file for a log.

    Parameters
    ----------
    path : Path
    also : sequence of Path
        Further logs of the same measurement.
    group : str, optional
        The group that the rows are, if the guess is wrong.
    """
    sample = read_sample(path)
    roles = assign_roles(sample)
    if not any(f.title for f in sample.fields):
        sample, roles = _named_by_role(sample, roles)
    files = [path, *also]
    cells = find_cells(sample, roles, len(files))
    section = choose_section(Log(sample, roles, cells, files), group=group)
    lines = _text(sample, roles, cells, section, files)
    return "".join(_CONTROL.sub("?", line) + "\n" for line in lines)


def _named_by_role(sample: Sample, roles: Roles) -> tuple[Sample, Roles]:
    """Name the columns of a log without header by their roles."""
    taken: set[str] = set()
    renamed: list[Role] = []
    for i, r in enumerate(roles.all):
        name = _SHORT.get(r.role, r.role.replace(" ", "_")) or f"c{i}"
        name = f"c{i}" if r.role == "constant" or name in taken else name
        taken.add(name)
        renamed.append(replace(r, field=replace(r.field, name=name)))
    names = tuple(r.name for r in renamed)
    old = {r.name: n for r, n in zip(roles.all, names, strict=True)}
    renamed = [replace(r, why=_renamed(r.why, old)) for r in renamed]
    source: dict[str, Any] = {**sample.source, "columns": names}
    fields = tuple(r.field for r in renamed)
    return replace(sample, source=source, fields=fields), Roles(tuple(renamed))


def _renamed(why: str, names: dict[str, str]) -> str:
    return re.sub(r"\bc\d+\b", lambda m: names.get(m.group(), m.group()), why)


def _text(
    sample: Sample, roles: Roles, cells: Cells, section: Section, files: Sequence[Path]
) -> list[str]:
    name = sample.path.name.split(".")[0]
    rows = f"{sample.rows} rows" if sample.complete else f"the first {sample.rows} rows"
    out = [
        f"# Draft layout for {', '.join(f.name for f in files)}, from {rows}.",
        "# Review the lines marked CHECK; they are guesses or assumptions.",
        "",
        "[array]",
        f"id = {toml(name)}",
        'cell = "1T1R"  # CHECK: 1T1R, 2T1R, 1S1R or 1R',
        f"rows = {cells.rows}  # CHECK: {cells.why}",
        f"cols = {cells.cols}",
    ]
    if not sample.complete:
        out[-1] += "  # CHECK: later rows may have higher numbers"
    if cells.tiled:
        out.append("tiles = [128, 128]  # each tile becomes a file")
    out += ["", "[source]"]
    for key, value in sample.source.items():
        out.append(f"{key} = {toml(value)}")
    if section.samples:
        out.append(f"samples = {toml(section.samples)}  # every further field of a line")
    out += [*section.source, *_notes(sample, roles, section.used), "", "[cells]", *cells.lines]
    return [*out, "", *section.lines]


def _notes(sample: Sample, roles: Roles, used: frozenset[str]) -> list[str]:
    """Return what each column was taken for, and what was left out, with the reasons."""
    out = []
    parts = {name for f in sample.fields for name in f.joined}  # of a date
    left = [r for r in roles.all if r.name not in parts]
    for r in roles.all:
        if r.role and (r.name in used or r.role in ("address", "row", "col", "device")):
            sure = f"{r.sure}: " if r.sure != NOT_SURE else "CHECK, not sure: "
            of = f" of {' and '.join(r.field.joined)}" if r.field.joined else ""
            out.append(f"#   {r.name}: {r.role}{of}; {sure}{r.why}")
    for r in left:
        if r.role and r.name not in used and r.role not in ("address", "row", "col", "device"):
            why = {"ratio": "a ratio is no resistance", "constant": r.why}.get(
                r.role, f"{r.role}, {r.why}; {_UNUSED.get(r.role, 'not needed')}"
            )
            out.append(f"#   not used: {r.name} ({why})")
        elif not r.role:
            out.append(f"#   not used: {r.name} ({r.why or 'no known meaning'})")
    out += [f"#   lines that are no rows: {bad}" for bad in sample.bad]
    out += [f"#   CHECK {f.name} = {f.date!r}: {f.note}" for f in sample.fields if f.note]
    if sample.blocks > 1:
        out.append(f"#   {sample.blocks} blocks of rows")
    if sample.settings:
        out.append(f"#   lines in front: {'; '.join(s.strip()[:60] for s in sample.settings[:6])}")
    return ["# Columns:", *out] if out else []


def toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{toml_key(k)} = {toml(v)}' for k, v in value.items())} }}"
    return toml_text(value) if isinstance(value, str) else str(value)
