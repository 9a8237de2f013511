"""Checks of the attributes of a file and of its groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rramfit.hdf5 import Group
from rramfit.hdf5.messages import CONTENT
from rramfit.measurement.file.contract.groups import ROOT_ATTRIBUTES
from rramfit.measurement.file.contract.rules import (
    ATTRIBUTE_UNITS,
    VERSIONS,
    AttributeRule,
    DatasetRule,
    GroupRule,
)
from rramfit.measurement.file.opening import plain
from rramfit.measurement.file.problem import Problem

__all__ = ["attribute_expected", "attribute_problems", "undefined"]

_WRITTEN = frozenset({CONTENT, "NX_class", "signal", "axes", "auxiliary_signals", "default"})


def undefined(
    what: str, *, since: AttributeRule | DatasetRule | GroupRule | None = None
) -> dict[str, str]:
    """Return what a note says about content that the version of the file does not define.

    Parameters
    ----------
    what : str
        "attribute" or "object".
    since : rule, optional
        The rule of a later version that has this name.
    """
    if since is not None:
        return {
            "found": f"an {what} of layout {since.since} in a file of layout {VERSIONS[0]}",
            "expected": f"format_version = {since.since!r}",
            "remedy": f"write this format_version to have the {what} read",
        }
    return {
        "found": f"an {what} that the layout does not define",
        "expected": f"only {what}s of the layout",
        "remedy": f"ignore this note if the {what} need not be read; `rramfit measurement layout` "
        "lists what is read",
    }


def attribute_problems(
    path: Path, owner: Group, rules: Mapping[str, AttributeRule]
) -> Iterator[Problem]:
    """Check the attributes of a group or of the root; note those that are not defined."""
    for name, rule in rules.items():
        problem = partial(Problem, path=path, where=f"{owner.name}@{name}")
        expected = attribute_expected(rule)
        if name not in owner.attrs:
            if rule.needed:
                yield problem(found="no such attribute", expected=expected)
            continue
        value = plain(owner.attrs[name])
        if not _attribute_valid(value, rule):
            yield problem(found=repr(value), expected=expected)
    root = owner.name == "/"
    for name in owner.attrs:
        if name not in rules and name not in _WRITTEN:
            yield Problem(
                path=path,
                where=f"{owner.name}@{name}",
                **undefined("attribute", since=ROOT_ATTRIBUTES.get(name) if root else None),
                note=True,
            )


def attribute_expected(rule: AttributeRule) -> str:
    """Return what an attribute must be, as a noun phrase."""
    if rule.choices:
        *others, last = map(repr, rule.choices)
        return f"{', '.join(others)} or {last}" if others else last
    if rule.kind in ATTRIBUTE_UNITS:
        number = "finite" if rule.kind == "voltage" else "positive"
        return f"one {number} number, the {rule.kind} in {ATTRIBUTE_UNITS[rule.kind]}"
    return {
        "text": "non-empty text",
        "time": "an ISO 8601 time with time zone, such as 2026-03-01T09:30:00+01:00",
        "flag": "true or false",
        "integer": "an integer",
    }[rule.kind]


def _attribute_valid(value: Any, rule: AttributeRule) -> bool:
    if rule.choices:
        return isinstance(value, str) and value in rule.choices
    if rule.kind == "text":
        return isinstance(value, str) and bool(value.strip())
    if rule.kind == "time":
        try:
            moment = datetime.fromisoformat(value)
            return moment.tzinfo is not None and bool(moment.astimezone(UTC))
        except (TypeError, ValueError, OverflowError):
            return False
    if rule.kind == "flag":
        return isinstance(value, (bool, int)) and value in (0, 1)
    if rule.kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and (value > 0 or rule.kind == "voltage")
