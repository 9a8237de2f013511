"""NeuroSim V1.5: `mem_states.csv`, or a text with the flags of `inference.py`, as a card.

A table of states gives levels and their d2d (NeuroSim draws a cell once). A text with flags, such
as a run command or `device_flags.txt` of an export, adds read noise, stuck cells and drift; its
`--mem_states_file` is looked for beside it. Without a table the states are evenly spaced from
`--off_state` to `--on_state`.
"""

from __future__ import annotations

import csv
import itertools
import math
import shlex
from pathlib import Path
from typing import Any

from rramfit.card.quantity import Quantity
from rramfit.card.schema import (
    DriftCard,
    ModelCard,
    ReadNoiseCard,
    RetentionCard,
    StuckCard,
    VariationCard,
)
from rramfit.errors import InputError
from rramfit.export.importing import Importer, StatedArray, StatedLevel, stated_card

__all__ = ["IMPORTER"]

_EXPECTED = "a mem_states.csv with the columns mean and std, or a text with flags of inference.py"
_MOST_STATES = 4096

States = list[tuple[float, float]]


def _read(path: Path, array: StatedArray) -> ModelCard:
    text = _text(path)
    if "--" in text and "mean" not in text.partition("\n")[0]:
        flags = _flags(path, text)
        states, used = _states_of_flags(path, flags)
    else:
        flags, states, used = {}, _states(path, text), []
    findings, remedies = [], []
    bits = math.log2(len(states))
    if bits != int(bits):
        findings.append(f"{len(states)} states are no power of two, which NeuroSim refuses.")
        remedies.append("Check whether the table belongs to the bits of the cell.")
    padding = _padding(states)
    if padding:
        findings.append(
            f"The last state is in the table {padding + 1} times, as in a table padded to a power "
            "of two; it is one level in this card."
        )
        remedies.append("Correct the table if its states should differ.")
        states = states[:-padding]
    if any(a >= b for (a, _), (b, _) in itertools.pairwise(states)):
        findings.append("The means of the states do not rise, so they are sorted in this card.")
        remedies.append("Check the order of the states.")
        states = sorted(states)
    read = flags.get("read_noise", 0.0)
    further = _further(states, flags, read)
    levels = [StatedLevel(mean=mean, std=math.hypot(std, read * mean)) for mean, std in states]
    return stated_card(
        path,
        levels,
        importer=IMPORTER,
        array=array,
        findings=findings,
        remedies=remedies,
        further=further,
        inputs=used,
    )


def _padding(states: States) -> int:
    """Return how many states at the end repeat the one before them; two states always stay."""
    repeated = itertools.takewhile(lambda x: x == states[-1], reversed(states))
    return max(min(len(list(repeated)) - 1, len(states) - 2), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as e:
        raise InputError(path, "", found=str(e), expected=_EXPECTED) from None


def _states(path: Path, text: str) -> States:
    """Return mean and std of every state, in the order of the file."""
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or "mean" not in rows[0]:
        raise InputError(path, "", found="no column mean", expected=_EXPECTED)
    found = []
    for number, row in enumerate(rows, start=2):
        pair = []
        for column in ("mean", "std"):
            given = row.get(column)
            try:
                value = float(given) if given is not None and given.strip() else math.nan
            except ValueError:
                value = math.nan
            if column == "std" and "std" not in row:
                value = 0.0
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    path,
                    f"line {number}, {column}",
                    found=repr(given),
                    expected="a number of at least 0",
                )
            pair.append(value)
        found.append((pair[0], pair[1]))
    if not 2 <= len(found) <= _MOST_STATES:
        raise InputError(
            path, "", found=f"{len(found)} states", expected=f"2 to {_MOST_STATES} states"
        )
    return found


def _flags(path: Path, text: str) -> dict[str, Any]:
    """Return the flags by name, numbers where they are numbers."""
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as e:
        raise InputError(path, "", found=str(e), expected=_EXPECTED) from None
    found: dict[str, Any] = {}
    for i, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = words[i + 1] if i + 1 < len(words) else ""
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = value
    for name in ("bitcell", "on_state", "off_state", "read_noise", "t", "v", "detect", "target",
                 "rate_stuck_0", "rate_stuck_1"):  # fmt: skip
        value = found.get(name, 0.0)
        if not isinstance(value, float) or not math.isfinite(value) or value < 0:
            raise InputError(
                path, f"--{name}", found=repr(value), expected="a number of at least 0"
            )
    return found


def _states_of_flags(path: Path, flags: dict[str, Any]) -> tuple[States, list[Path]]:
    """Return the states, and the files that were read for them."""
    name = flags.get("mem_states_file", "")
    if name:
        table = path.parent / Path(str(name)).name
        return _states(table, _text(table)), [table]
    if "on_state" not in flags or "off_state" not in flags:
        raise InputError(
            path,
            "",
            found="neither --mem_states_file nor --on_state and --off_state",
            expected=_EXPECTED,
        )
    bits = flags.get("bitcell", 1.0)
    if bits != int(bits) or not 1 <= bits <= math.log2(_MOST_STATES):
        raise InputError(path, "--bitcell", found=f"{bits:g}", expected="1 to 12 bits")
    count, low, high = 2 ** int(bits), flags["off_state"], flags["on_state"]
    return [(low + (high - low) * k / (count - 1), 0.0) for k in range(count)], []


def _further(states: States, flags: dict[str, Any], read: float) -> dict[str, Any]:
    given = Quantity.given
    out: dict[str, Any] = {
        "variation": [
            VariationCard(
                level=k,
                domain="linear",
                d2d=given(std, "S"),
                read=given(read * mean, "S") if read else None,
                c2c_includes_read=not read,
            )
            for k, (mean, std) in enumerate(states)
        ]
    }
    if read:
        out["read_noise"] = ReadNoiseCard(
            coefficient=given(read, "1"),
            exponent=given(0.0, "1"),
            reference_conductance=given(states[-1][0], "S"),
        )
    low, high = flags.get("rate_stuck_0", 0.0), flags.get("rate_stuck_1", 0.0)
    if low or high:
        out["stuck"] = StuckCard(
            low=given(low, "1"),
            high=given(high, "1"),
            low_conductance=given(states[0][0], "S"),
            high_conductance=given(states[-1][0], "S"),
        )
    v, t = flags.get("v", 0.0), flags.get("t", 1.0)
    if v and t > 1:
        sign = 0.0
        if flags.get("detect", 0.0) == 1:
            at = states[0][0] + flags.get("target", 0.0) * (states[-1][0] - states[0][0])
            signs = [math.copysign(1.0, at - mean) if at != mean else 0.0 for mean, _ in states]
        else:
            signs = [sign] * len(states)
        out["retention"] = RetentionCard(
            reference_time=given(1.0, "s"),
            longest_time=given(t, "s"),
            levels=[
                DriftCard(level=k, drift=given(s * v * mean, "S"))
                for k, (s, (mean, _)) in enumerate(zip(signs, states, strict=True))
            ],
        )
    return out


IMPORTER = Importer(
    name="neurosim",
    title="NeuroSim V1.5",
    reads="`mem_states.csv`, or a text with flags of `inference.py`",
    read=_read,
)
