"""The contract of an exporter: a card becomes the files of another program.

An exporter is one module with one `Exporter`. It names its target, what it writes, what it cannot
express and how it was verified. Its function `export` is pure: from a card and options it returns
the content of all files, and what of the card they approximate or lack. `rramfit.export.folder`
writes the files, together or not at all, with a README.md made of the same texts.

A package adds a target by an entry point of the group `rramfit.exporters` that names an `Exporter`;
`rramfit.export.registry` finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rramfit.errors import RramfitError

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["Export", "ExportError", "Exporter", "Limit", "Option", "OptionError"]


class ExportError(RramfitError):
    """A card that a target cannot take, or an exporter that does not work."""


class OptionError(ExportError):
    """An option of an exporter that is unknown or has an impossible value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A property of the card that the files approximate or do not have.

    Attributes
    ----------
    what : str
        The property, and what the files have instead: one sentence.
    size : str
        How large it is in this card, with its unit: a noun phrase.
    """

    what: str
    size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The content of an exporter's files, and its limits for this card.

    Attributes
    ----------
    files : mapping of str to str or bytes
        Content by file name; a name may contain folders, separated by "/".
    commands : tuple of str
        How to run the files in their target: at most two commands, from inside the folder.
    approximated, missing : tuple of Limit
        What the files express approximately, and not at all.
    notes : tuple of str
        Further sentences for the README: units, conventions.
    """

    files: Mapping[str, str | bytes]
    commands: tuple[str, ...]
    approximated: tuple[Limit, ...] = ()
    missing: tuple[Limit, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of an exporter, given as NAME=VALUE.

    Attributes
    ----------
    name : str
    kind : type
        int, float, str or Path.
    default : value of `kind`, or None
    meaning : str
        Noun phrase, with the unit of a number.
    least : float
        Smallest allowed number.
    choices : tuple of str
        All allowed values; empty if any is.
    """

    name: str
    kind: type[int | float | str | Path]
    default: Any
    meaning: str
    least: float = -math.inf
    choices: tuple[str, ...] = ()

    def parse(self, text: object) -> Any:
        """Return the value that a text, or a value of Python, means.

        Raises
        ------
        OptionError
            If it is not of this kind, or not allowed.
        """
        noun = {int: "a whole number", float: "a number"}.get(self.kind, "a text")
        expected = f"{noun} of at least {self.least:g}" if math.isfinite(self.least) else noun
        if self.choices:
            expected = f"one of {', '.join(self.choices)}"
        kind: Callable[[object], Any] = self.kind
        try:
            value = kind(text)
        except (TypeError, ValueError, OverflowError):
            value = None
        allowed = value is not None and (not self.choices or value in self.choices)
        if allowed and isinstance(value, int | float):
            allowed = math.isfinite(value) and value >= self.least
        if not allowed:
            msg = f"option {self.name}: found {text!s}, expected {expected}"
            raise OptionError(msg)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """One target.

    Attributes
    ----------
    name : str
        As in `rramfit card export --to NAME`.
    title : str
        The program, with the version that the files are for.
    writes, cannot, verified : str
        What the files contain, what the target cannot express, and how the files were verified:
        sentences.
    export : callable (card, options) -> Export
        `options` has a value for each of `options`.
    options : tuple of Option
    aliases : tuple of str
        Further names.
    """

    name: str
    title: str
    writes: str
    cannot: str
    verified: str
    export: Callable[[ModelCard, Mapping[str, Any]], Export]
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()

    def resolve(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return the value of every option: those given, else the defaults.

        Raises
        ------
        OptionError
            If an option is unknown, or a value is not allowed.
        """
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                listed = ", ".join(known) or "none"
                msg = f"target {self.name} has no option {name!r}; its options are: {listed}"
                raise OptionError(msg)
        return {
            name: option.parse(given[name]) if name in given else option.default
            for name, option in known.items()
        }
