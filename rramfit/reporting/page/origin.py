"""Where a page comes from: command, time, seed, inputs and checkpoint, as its last section.

The time is that of the inputs (`rramfit.provenance`), never that of the clock, and the command has
only the options that the numbers depend on: the same inputs give the same page, however many
processes made it. Many inputs are given by their number and one digest, which is the SHA-256 of
what `sha256sum` prints of them in their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rramfit.provenance import package_version
from rramfit.reporting.page.document import Column, Facts, Report, Section, Table
from rramfit.reporting.page.wording import counted

__all__ = ["PageOrigin", "digest_of_inputs", "with_origin"]

Inputs = Sequence[tuple[str, str]]

_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOrigin:
    """What a page was made from.

    Attributes
    ----------
    command : str
        With the options that the numbers depend on.
    inputs : sequence of (name, SHA-256)
        Files, or cards with their digests.
    what : str
        What the inputs are, in the singular: "file" or "card".
    time : str
        Of the newest input; "" if unknown.
    seed : str
    checkpoint : (name, SHA-256), optional
        Of the network.
    missing : int
        Inputs that could not be used and are not in `inputs`.
    """

    command: str
    inputs: Inputs
    what: str = "file"
    time: str = ""
    seed: str = ""
    checkpoint: tuple[str, str] | None = None
    missing: int = 0


def digest_of_inputs(inputs: Inputs) -> str:
    r"""Return the SHA-256 of the lines that `sha256sum` prints of these files.

    Examples
    --------
    >>> digest_of_inputs([("a.h5", "0" * 64)])[:8]
    '05b5d43e'
    """
    lines = "".join(f"{digest.removeprefix('sha256:')}  {name}\n" for name, digest in inputs)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def with_origin(report: Report, origin: PageOrigin) -> Report:
    """Return the report with its time and seed below the title, and the section on its origin."""
    facts = [
        ("Command", origin.command),
        ("Package", f"rramfit {package_version()}"),
        *([("Time", origin.time)] if origin.time else []),
        *([("Seed", origin.seed)] if origin.seed else []),
        ("Inputs", _inputs(origin)),
    ]
    if origin.checkpoint is not None:
        name, digest = origin.checkpoint
        facts.append(("Checkpoint", f"{name}, sha256 {digest}"))
    shown = origin.inputs[:_MOST_LISTED]
    more = len(origin.inputs) - len(shown)
    table = Table(
        caption=f"Inputs{f', the first {_MOST_LISTED:,}' if more else ''}",
        columns=(Column(origin.what, numeric=False), Column("sha256", numeric=False)),
        rows=tuple((name, digest.removeprefix("sha256:")) for name, digest in shown),
        folded=True,
    )
    section = Section(
        key="provenance",
        title="Provenance",
        blocks=(Facts(items=tuple(facts)), *([table] if len(shown) > 1 else [])),
    )
    of_page = [(name, text) for name, text in facts if name in ("Time", "Seed")]
    return replace(report, facts=(*report.facts, *of_page), sections=(*report.sections, section))


def _inputs(origin: PageOrigin) -> str:
    if len(origin.inputs) == 1:
        name, digest = origin.inputs[0]
        text = f"{name}, sha256 {digest.removeprefix('sha256:')}"
    else:
        text = counted(len(origin.inputs), origin.what)
    if len(origin.inputs) > 1:
        text += f", sha256 of their list {digest_of_inputs(origin.inputs)}"
    if origin.missing:
        text += f"; {counted(origin.missing, f'more {origin.what}')} could not be used"
    return text
