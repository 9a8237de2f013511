"""The documentation of the layout, made from the table that validates a file.

`layout_text` is for a terminal, `layout_markdown` for a page, `layout_json` for programs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rramfit.measurement.file.contract.groups import GROUPS, ROOT_ATTRIBUTES, ROOT_DATASETS
from rramfit.measurement.file.contract.rules import (
    ATTRIBUTE_UNITS,
    PHYSICAL,
    UNITS,
    VERSIONS,
    AttributeRule,
    DatasetRule,
    GroupRule,
)

__all__ = ["layout_json", "layout_markdown", "layout_text"]

_WHAT = (
    "One HDF5 file holds what was measured on one array: one die, or one tile of it. Every group "
    "is optional, but at least one must be there. A fit runs when the groups that it needs are "
    "present; `rramfit measurement inspect FILE` lists which fits a file allows, and "
    "`rramfit measurement validate FILE` lists every difference from this layout."
)


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


_RULES = _paragraphs(
    """
Axes: `row` counts wordlines, which are driven; column 0 is next to the row drivers. `col` counts
bitlines, which are sensed below the last row. Rows, columns and levels are counted from 0. `row`
and `col` have one size in the whole file, any other axis one size in its group.

Every dataset of a physical quantity has the attribute `units`, one of those listed. A unit is
never guessed. A dataset in ohm, kohm or Mohm is read as a resistance and inverted.

NaN means "not measured", never "failed". Where NaN is not listed, it is an error.

Negative conductances are valid: a readout offset makes a very high resistance look negative.

Floats are float32 or float64. Attributes that are quantities are in V, A or K.

Content that the layout does not define is ignored, with a note from `rramfit measurement
validate`.

Names that layout 1.1 added are read only in files with format_version 1.1 or later. A file that
uses none of them is written as 1.0. A later minor version is read with a note; a newer major
version is refused.
"""
)

_KINDS = {"integer": "integer", "flag": "bool", "text": "text", "time": "ISO 8601 with time zone"}


def layout_json() -> dict[str, Any]:
    """Return the layout as JSON-compatible values."""
    return {
        "versions": list(VERSIONS),
        "units": {kind: list(units) for kind, units in UNITS.items()},
        "rules": list(_RULES),
        "attributes": {name: _attribute(rule) for name, rule in ROOT_ATTRIBUTES.items()},
        "datasets": dict(ROOT_DATASETS),
        "groups": {
            name: {
                "means": rule.means,
                "since": rule.since,
                "signal": rule.signal,
                "subgroups": rule.parts or None,
                "datasets": {key: _dataset(d) for key, d in rule.datasets.items()},
                "attributes": {key: _attribute(a) for key, a in rule.attributes.items()},
            }
            for name, rule in GROUPS.items()
        },
    }


def _dataset(rule: DatasetRule) -> dict[str, Any]:
    return {
        "kind": rule.kind,
        "shapes": [list(form) for form in rule.forms],
        "units": list(UNITS[rule.kind]) if rule.kind in PHYSICAL else [],
        "needed": rule.needed,
        "nan": rule.gaps,
        "choices": list(rule.choices),
        "since": rule.since,
        "means": rule.means,
    }


def _attribute(rule: AttributeRule) -> dict[str, Any]:
    return {
        "kind": rule.kind,
        "unit": ATTRIBUTE_UNITS.get(rule.kind),
        "needed": rule.needed,
        "choices": list(rule.choices),
        "since": rule.since,
        "means": rule.means,
    }


def layout_markdown() -> str:
    """Return the layout as a page in Markdown."""
    lines = [f"# Measurement file, layout {' and '.join(VERSIONS)}", "", _WHAT, ""]
    lines += [
        (
            "This page is made from the table that validates a file: "
            "`rramfit measurement layout --markdown`."
        ),
        "",
        "## Rules",
        *(f"- {rule}" for rule in _RULES),
        "",
        "## Units",
        *(f"- {kind}: {' '.join(units)}" for kind, units in UNITS.items()),
        "",
        "## Root attributes",
        *_table(("attribute", "type", "needed", "meaning"), _attribute_rows(ROOT_ATTRIBUTES)),
        "",
        "## Root datasets (optional)",
        *_table(("dataset", "meaning"), ROOT_DATASETS.items()),
    ]
    for name, rule in GROUPS.items():
        lines += ["", f"## `/{name}`{_since(rule)}", rule.means, ""]
        lines += _table(("dataset", "shape", "type", "needed", "meaning"), _dataset_rows(rule))
        if rule.attributes:
            head = ("attribute", "type", "needed", "meaning")
            lines += ["", *_table(head, _attribute_rows(rule.attributes))]
    return "\n".join(lines) + "\n"


def layout_text() -> str:
    """Return the layout as text for a terminal, with lines of at most 100 characters."""
    lines = [
        f"Measurement file, layout {' and '.join(VERSIONS)}",
        "",
        textwrap.fill(_WHAT, 100),
        "",
    ]
    lines += [
        textwrap.fill(rule, 100, initial_indent="- ", subsequent_indent="  ") for rule in _RULES
    ]
    lines += ["", "Units"]
    lines += [f"  {kind:<12} {' '.join(units)}" for kind, units in UNITS.items()]
    lines += ["", "Root attributes", *_columns(_attribute_rows(ROOT_ATTRIBUTES, mark="@"))]
    lines += ["", "Root datasets (optional)"]
    lines += [f"  /{name:<13} {means}" for name, means in ROOT_DATASETS.items()]
    for name, rule in GROUPS.items():
        lines += ["", f"/{name}{_since(rule)}"]
        lines += [textwrap.fill(rule.means, 100, initial_indent="  ", subsequent_indent="  ")]
        lines += _columns([*_dataset_rows(rule), *_attribute_rows(rule.attributes, mark="@")])
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _since(rule: GroupRule | DatasetRule | AttributeRule) -> str:
    return "" if rule.since == VERSIONS[0] else f" (layout {rule.since})"


def _dataset_rows(rule: GroupRule) -> Iterator[tuple[str, ...]]:
    for key, dataset in rule.datasets.items():
        shapes = " or ".join(
            f"({', '.join(form)}{',' * (len(form) == 1)})" for form in dataset.forms
        )
        kind = dataset.kind if dataset.kind in PHYSICAL else _KINDS[dataset.kind]
        if dataset.choices:
            kind = f"{kind}: {', '.join(map(str, dataset.choices))}"
        kind += ", NaN allowed" * dataset.gaps
        newer = _since(dataset) if rule.since == VERSIONS[0] else ""
        yield key, shapes, kind, "yes" if dataset.needed else "no", dataset.means + newer


def _attribute_rows(
    rules: Mapping[str, AttributeRule], mark: str = ""
) -> Iterator[tuple[str, ...]]:
    for key, rule in rules.items():
        unit = ATTRIBUTE_UNITS.get(rule.kind)
        kind = f"number [{unit}]" if unit else _KINDS[rule.kind]
        if rule.choices:
            kind = " or ".join(f'"{choice}"' for choice in rule.choices)
        row = (mark + key, kind, "yes" if rule.needed else "no", rule.means + _since(rule))
        yield (row[0], "", *row[1:]) if mark else row


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for name, *cells in rows:
        yield f"| `{name}` | {' | '.join(cells)} |"


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Align names, shapes and types; put each meaning on a separate line."""
    listed = list(rows)
    width = max(len(row[0]) for row in listed) + 2
    lines = []
    for name, shape, kind, needed, means in listed:
        optional = "" if needed == "yes" else ", optional"
        form = f"{shape} {kind}".strip()
        indent = " " * (width + 2)
        lines += [f"  {name:<{width}}{form}{optional}"]
        lines += textwrap.wrap(means, 100, initial_indent=indent, subsequent_indent=indent)
    return lines
