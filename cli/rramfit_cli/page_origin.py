"""Origin of a page that a command writes: the command itself, its inputs, seed and time."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from rramfit.card import ModelCard
    from rramfit.reporting.page.origin import PageOrigin

__all__ = ["page_origin", "study_origin"]

_OF_OUTPUT = {
    "as_json", "csv", "every", "force", "jobs", "output", "page", "report", "resume", "save",
    "scheduler", "shard", "tables", "tensorboard", "threads",
}  # fmt: skip
"""Parameters on which the numbers of a page do not depend."""


def page_origin(
    inputs: Sequence[Path], *, what: str = "file", time: str = "", seed: int | None = None
) -> PageOrigin:
    """Return the origin of a page of the running command.

    Parameters
    ----------
    inputs : sequence of Path
        Files that the page shows.
    what : str
        What they are, in the singular.
    time : str
        Of the newest input.
    seed : int, optional
    """
    from rramfit.errors import visible
    from rramfit.provenance import sha256_of
    from rramfit.reporting.page.origin import PageOrigin

    return PageOrigin(
        command=_command(click.get_current_context()),
        inputs=[(visible(path.name), sha256_of(path)) for path in inputs],
        what=what,
        time=time,
        seed="" if seed is None else str(seed),
    )


def study_origin(card: ModelCard, seed: int) -> PageOrigin:
    """Return the origin of a page on chips of a card, made by the running command."""
    from rramfit.provenance import sha256_of

    given = click.get_current_context().params
    files = [Path(given[name]) for name in ("cells", "replay", "teacher") if given.get(name)]
    of = card.provenance
    origin = page_origin(files, time=f"{of.time} ({of.time_source})", seed=seed)
    checkpoint = given.get("checkpoint")
    return replace(
        origin,
        inputs=[(f"card {card.name}", card.digest), *origin.inputs],
        checkpoint=(checkpoint.name, sha256_of(checkpoint)) if checkpoint else None,
    )


def _command(context: click.Context) -> str:
    """Return the running command with the options that its numbers depend on."""
    words = ["rramfit", *context.command_path.split(" ")[1:]]
    options = []
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            words.append(parameter.make_metavar(context) if parameter.nargs < 0 else _text(value))
        elif name not in _OF_OUTPUT and (name == "seed" or _is_given(context, name)):
            option = max(parameter.opts, key=len)
            if isinstance(parameter, click.Option) and parameter.is_flag:
                options.append(option)
                continue
            several = list(value or ()) if parameter.multiple else [value]
            options += [f"{option} {_text(x)}" for x in several]
    return " ".join([*words, *options])


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _text(value: Any) -> str:
    """Return a value as it can be given again; of a path, its name."""
    from rramfit.errors import visible

    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    text = str(value)
    is_path = isinstance(value, Path) or ("/" in text and Path(text).exists())
    return shlex.quote(visible(Path(text).name) if is_path else text)
