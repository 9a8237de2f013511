"""Draft of a layout file, guessed from the contents of a log or HDF5 file.

The user must review the draft. Every guess is marked CHECK in a comment; every value that cannot be
guessed is marked FILL IN. The guess uses only the first rows of a log, or the names, shapes and
units of HDF5 datasets.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from rramfit.errors import MeasurementError
from rramfit.measurement.file.groups import FORMAT
from rramfit.measurement.file.opening import open_measured, plain
from rramfit.measurement.lab.guess_hdf5 import guess_hdf5

__all__ = ["guess_layout"]

_ROWS_READ = 200_000  # more are not needed to identify the columns

_NAMES: Sequence[tuple[str, str]] = (
    ("address", r"addr(ess)?|cell(_?(id|no|index))?|index"),
    ("row", r"row|wl|word_?line|x"),
    ("col", r"col(umn)?|bl|bit_?line|y"),
    ("time", r"(unix_?)?t(ime)?(_?stamp)?"),
    ("level", r"level|state|target_?level"),
    ("verified", r"ok|verified|pass(ed)?|success|accepted|valid"),
    ("pulses", r"(n_?)?(pulses|sets|resets|attempts|iterations)"),
    ("voltage", r"v(olt(age)?)?(_?read)?"),
    ("current", r"i|curr(ent)?(_?read)?"),
    ("resistance", r"r(es(istance)?)?(_?(read|final|meas))?"),
    ("conductance", r"g|cond(uctance)?(_?(read|final|meas))?"),
    ("sweep", r"sweep|cycle|repeat|iteration"),
)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    role: str  # one of _NAMES, or "" if unknown
    why: str
    units: str
    values: NDArray[np.float64] | None  # None if any field is not a number
    texts: tuple[str, ...]  # distinct values of a text column, if there are few


def guess_layout(path: Path | str) -> str:
    """Draft a layout file for a log, HDF5 or MATLAB file.

    Parameters
    ----------
    path : Path or str
        CSV or TSV log, gzipped or not, HDF5 or MATLAB v7.3.

    Returns
    -------
    str
        TOML text; comments mark the lines to check or fill in.

    Raises
    ------
    MeasurementError
        If the file already has layout 1.0, or is neither HDF5 nor a table.
    """
    path = Path(path)
    if path.is_file() and h5py.is_hdf5(path):
        with open_measured(path) as f:
            if plain(f.attrs.get("format")) == FORMAT:
                raise MeasurementError(
                    path,
                    "/",
                    found="a measurement file of layout 1.0",
                    expected="a file in another format",
                    remedy="use the file directly, because it needs no layout file",
                )
            return guess_hdf5(path, f)
    return _guess_table(path)


def _guess_table(path: Path) -> str:
    lines = _first_lines(path)
    separator = _separator(path, lines)
    fields = [_split(line, separator) for line in lines]
    width = len(fields[len(fields) // 2])
    rows = [f for f in fields if len(f) == width]
    header = not any(map(_number_like, rows[0])) and any(map(_number_like, rows[-1]))
    names = [_identifier(n, i) for i, n in enumerate(rows[0])] if header else [""] * width
    columns = _columns(names, rows[0] if header else [""] * width, rows[1:] if header else rows)
    return "\n".join(_table_text(path, separator, columns, header=header)) + "\n"


def _first_lines(path: Path) -> list[str]:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeasurementError(path, "/", found=found, expected="a log, or an HDF5 file")
    with path.open("rb") as raw:
        start = raw.read(2)
    unzip = gzip.open if start == b"\x1f\x8b" else open
    with unzip(path, "rb") as f:
        piece = list(itertools.islice(f, _ROWS_READ))
    if any(b"\x00" in line for line in piece[:100]) or not piece:
        raise MeasurementError(
            path,
            "/",
            found="a file without rows of text" if piece else "an empty file",
            expected="a CSV or TSV log, or an HDF5 file",
            remedy="save MATLAB files older than v7.3 again with save(..., '-v7.3')",
        )
    texts = (line.decode("utf-8-sig", "replace").rstrip("\r\n") for line in piece)
    lines = [t for t in texts if t.strip() and not t.startswith("#")]
    if not lines:
        raise MeasurementError(path, "/", found="only comments", expected="rows of a log")
    return lines


def _separator(path: Path, lines: Sequence[str]) -> str:
    """Return the separator that splits most lines into the same number (> 1) of fields."""
    best = ("", 0.0)
    for candidate in ("\t", ",", ";", "whitespace"):
        counts = [len(_split(line, candidate)) for line in lines[:1000]]
        common = max(set(counts), key=counts.count)
        score = counts.count(common) / len(counts) if common > 1 else 0.0
        if score > best[1]:
            best = (candidate, score)
    if not best[0]:
        raise MeasurementError(
            path,
            "/",
            found="lines that no separator splits into fields",
            expected="fields separated by tab, comma, semicolon or whitespace",
        )
    return best[0]


def _split(line: str, separator: str) -> list[str]:
    if separator == "whitespace":
        return line.split()
    return next(csv.reader([line], delimiter=separator), [])


def _number_like(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _identifier(name: str, i: int) -> str:
    """Turn a header field into a column name that is valid in expressions."""
    bare = re.sub(r"[\[(].*?[\])]", "", name).strip()
    word = re.sub(r"\W+", "_", bare).strip("_")
    return word if word and not word[0].isdigit() else f"c{i}"


def _columns(
    names: Sequence[str], titles: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[_Column]:
    numeric: list[NDArray[np.float64] | None] = []
    for i in range(len(names)):
        field = [r[i] for r in rows]
        try:
            numeric.append(np.array(field, dtype=np.float64))
        except ValueError:
            numeric.append(None)
    out: list[_Column] = []
    for i, (name, title) in enumerate(zip(names, titles, strict=True)):
        texts = tuple(sorted({r[i].strip() for r in rows}))[:9]
        folded = {t.casefold() for t in texts}
        role, why = _role_by_name(name), "guessed from its name"
        if not role:
            taken = {c.role for c in out}
            role, why = (
                _role_by_values(numeric[i], folded, numeric, taken),
                "guessed from its values",
            )
        unit = re.search(r"[\[(]\s*([^\])]+?)\s*[\])]", title)
        units = unit.group(1) if unit else ""
        few = texts if numeric[i] is None and len(texts) < 9 else ()
        out.append(_Column(name or _new_name(role, i, out), role, why, units, numeric[i], few))
    return out


def _new_name(role: str, i: int, before: Sequence[_Column]) -> str:
    name = {"address": "addr", "resistance": "r", "conductance": "g", "current": "i"}.get(
        role, role or f"c{i}"
    )
    return name if name not in {c.name for c in before} else f"c{i}"


def _role_by_name(name: str) -> str:
    plain_name = name.casefold()
    return next((role for role, p in _NAMES if re.fullmatch(p, plain_name)), "") if name else ""


def _role_by_values(
    values: NDArray[np.float64] | None,
    texts: set[str],
    others: Sequence[NDArray[np.float64] | None],
    taken: set[str],
) -> str:
    if values is None:
        yes_no = {"true", "false", "pass", "fail", "yes", "no", "ok", "nok"}
        return "verified" if texts <= yes_no else ""
    integral = bool(np.all(values == np.floor(values)))
    distinct = len(np.unique(values))
    size = float(np.median(np.abs(values)))
    if integral and values.min() >= 0 and distinct > 64 and "address" not in taken:
        return "address"
    if 1e9 < values.min() <= values.max() < 2e9 and "time" not in taken:
        return "time"
    if integral or distinct < 3:
        return ""
    pairs = [o for o in others if o is not None and o is not values and _inverse(o, values)]
    if pairs:
        role = "resistance" if size > np.median(np.abs(pairs[0])) else "conductance"
        return role if role not in taken else ""
    paired = any(
        a is not None and b is not None and _inverse(a, b)
        for a, b in itertools.combinations(others, 2)
    )
    if 3e2 < size < 1e9 and "resistance" not in taken and not paired:
        return "resistance"
    if 1e-10 < size < 1e-2 and not taken & {"resistance", "conductance", "current"}:
        swept = any(o is not None and _swept(o) for o in others)
        return "current" if swept else "conductance"
    return "voltage" if _swept(values) and "voltage" not in taken else ""


def _inverse(r: NDArray[np.float64], g: NDArray[np.float64]) -> bool:
    return bool(np.allclose(r * g, 1.0, rtol=1e-3))


def _swept(values: NDArray[np.float64]) -> bool:
    """Return True if the values look like sweep voltages: few distinct ones, below 20."""
    distinct = len(np.unique(values))
    return 3 <= distinct <= 1000 and distinct < len(values) / 4 and np.abs(values).max() < 20


def _table_text(
    path: Path, separator: str, columns: Sequence[_Column], *, header: bool
) -> list[str]:
    role = {c.role: c for c in reversed(columns) if c.role}
    name = path.name.split(".")[0]
    rows, cols, cells = _cell_text(role)
    out = [
        f"# Draft layout for {path.name}. Review every line marked CHECK or FILL IN.",
        "",
        "[array]",
        f'id = "{name}"',
        'cell = "1T1R"  # CHECK: 1T1R, 2T1R, 1S1R or 1R',
        f"rows = {rows}  # CHECK: derived from the highest address",
        f"cols = {cols}  # CHECK",
    ]
    if rows == cols == 256:
        out.append("tiles = [128, 128]")
    sign = separator.replace("\t", "\\t")
    out += ["", "[source]", 'kind = "table"', f'separator = "{sign}"']
    if header:
        out.append("header = true")
    quoted = ", ".join(f'"{c.name}"' for c in columns)
    out += [f"columns = [{quoted}]", *_column_notes(columns), "", "[cells]", *cells, ""]
    if "voltage" in role and "current" in role and _is_swept(role["voltage"]):
        return [*out, "[iv]", *_iv_text(role)]
    return [*out, *_program_text(role)]


def _is_swept(column: _Column) -> bool:
    return column.values is not None and _swept(column.values)


def _column_notes(columns: Sequence[_Column]) -> list[str]:
    known = [c for c in columns if c.role]
    notes = [f"#   {c.name}: {c.role}, {c.why}" for c in known]
    unknown = [c.name for c in columns if not c.role and not c.texts]
    notes += [
        f"#   {c.name}: values {', '.join(c.texts)}; select rows with `where`"
        for c in columns
        if c.texts and not c.role
    ]
    if unknown:
        notes.append(f"#   not used: {', '.join(unknown)}")
    return ["# CHECK the meaning of each column:", *notes]


def _cell_text(role: dict[str, _Column]) -> tuple[int, int, list[str]]:
    """Return rows and columns of the array, and the lines that map a row to its cell."""
    if "row" in role and "col" in role:
        r, c = role["row"], role["col"]
        return _highest(r) + 1, _highest(c) + 1, [f'row = "{r.name}"', f'col = "{c.name}"']
    if "address" not in role:
        return 1, 1, ['row = ""  # FILL IN: a column, or arithmetic with columns', 'col = ""']
    address = role["address"]
    bits = 8 if _highest(address) >= 2**14 else 7
    low = 2**bits - 1
    why = "CHECK: assumes that the low bits of the address are the column"
    lines = [
        f'row = "{address.name} >> {bits}"  # {why}',
        f'col = "{address.name} & {low}"',
    ]
    side = 2**bits
    return side, side, lines


def _highest(column: _Column) -> int:
    return 0 if column.values is None else int(np.nanmax(column.values))


def _units(column: _Column, default: str) -> str:
    if column.units:
        return f'"{column.units}" }}'
    return f'"{default}" }}  # CHECK: guessed from the magnitude'


def _iv_text(role: dict[str, _Column]) -> list[str]:
    v, i = role["voltage"], role["current"]
    return [
        f'voltage = {{ column = "{v.name}", units = {_units(v, "V")}',
        f'current = {{ column = "{i.name}", units = {_units(i, "A")}',
    ]


def _program_text(role: dict[str, _Column]) -> list[str]:
    out = []
    if "level" in role:
        level = role["level"]
        out += [
            "[levels]",
            "target = []  # FILL IN: the target of each level, in rising order of conductance",
            'units = "uS"',
            "",
        ]
    out.append("[program]  # CHECK: move repeated reads to [reads] or [retention]")
    if "resistance" in role:
        r = role["resistance"]
        out.append(f'conductance = {{ column = "{r.name}", units = {_units(r, "ohm")}')
    elif "conductance" in role:
        g = role["conductance"]
        out.append(f'conductance = {{ column = "{g.name}", units = {_units(g, "S")}')
    elif "current" in role:
        i = role["current"]
        voltage = f'"{role["voltage"].name}"' if "voltage" in role else "0"
        out.append(
            f'conductance = {{ column = "{i.name}", voltage = {voltage}, units = {_units(i, "A")}'
        )
    else:
        out.append('conductance = { column = "", units = "" }  # FILL IN')
    most = _rows_of_one_cell(role)
    if "sweep" in role:
        out.append(f'sweep = "{role["sweep"].name}"')
    elif most > 1:
        out.append(f'sweep = "occurrence"  # CHECK: a cell has up to {most} rows')
    if "level" in role:
        out.append(f'level = {{ column = "{level.name}" }}')
    if "verified" in role:
        out.append(f'verified = {{ column = "{role["verified"].name}" }}')
    if "pulses" in role:
        out.append(f'pulses = ["{role["pulses"].name}"]')
    out.append('read_voltage = ""  # FILL IN: [V]')
    return out


def _rows_of_one_cell(role: dict[str, _Column]) -> int:
    """Return the largest number of rows of one cell."""
    keys = [role[r].values for r in ("address", "row", "col") if r in role]
    known = [k for k in keys if k is not None]
    if not known:
        return 1
    return int(np.unique(np.stack(known, axis=1), axis=0, return_counts=True)[1].max())
