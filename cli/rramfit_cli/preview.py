"""What a conversion is about to write, on a terminal: the first rows, the assumptions, a map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rramfit.measurement import Measurement
    from rramfit.measurement.file.record import IVSweeps, Pulses
    from rramfit.measurement.lab.convert import Conversion
    from rramfit.measurement.lab.layout import Layout

__all__ = ["show_checks", "show_preview"]

_ROWS, _COLUMNS = 10, 12
_MAP_ROWS, _MAP_COLS = 16, 48  # characters
_LEFT_OUT = "#   not used: "  # in a draft
_SHADES = "·░▒▓█"  # not measured, then rising conductance


def show_checks(text: str) -> None:
    """Print the lines of a draft that are guesses or assumptions, and the columns left out."""
    checks = [line.strip() for line in text.splitlines() if "CHECK" in line and "=" in line]
    if checks:
        click.secho("\nto check:", bold=True)
        for check in checks:
            click.echo(f"  {check}")
    left = [
        line.removeprefix(_LEFT_OUT) for line in text.splitlines() if line.startswith(_LEFT_OUT)
    ]
    if left:
        click.secho("\nnot used:", bold=True)
        for column in left[:_ROWS]:
            click.echo(f"  {column}")
        if len(left) > _ROWS:
            click.echo(f"  … and {len(left) - _ROWS} more columns")


def show_preview(files: Sequence[Path], layout: Layout, text: str, conversion: Conversion) -> None:
    """Print the first rows, the lines of the layout to check, and a map of the conductances.

    Parameters
    ----------
    files : sequence of Path
    layout : Layout
    text : str
        Text of the layout file.
    conversion : Conversion
    """
    from rich.markup import escape
    from rich.table import Table

    from rramfit_cli.console import console

    out = console()
    rows = _first_rows(files, layout)
    if rows is not None:
        names, lines = rows
        table = Table(
            box=None, padding=(0, 1), title=f"first {len(lines)} rows", title_justify="left"
        )
        for name in names:
            table.add_column(escape(name), justify="right")
        for line in lines:
            table.add_row(*map(escape, line))
        out.print(table)
    show_checks(text)
    for m in conversion.measurements:
        click.secho(f"\n{m.identity.array_id}: {m.rows} × {m.cols} cells; {_groups(m)}", bold=True)
    _show_map(conversion.measurements[0])


def _first_rows(files: Sequence[Path], layout: Layout) -> tuple[list[str], list[list[str]]] | None:
    """Return names and texts of the first rows; None for arrays and rows of samples."""
    from rramfit.measurement.lab.layout_table import TableLayout
    from rramfit.measurement.lab.tables import read_blocks

    if not isinstance(layout, TableLayout) or layout.source.samples:
        return None
    lines: list[list[str]] = []
    names: list[str] = []
    for block in read_blocks(files[:1], layout.source):
        names = ["line", *islice(block.columns, _COLUMNS)]
        columns: list[Any] = [block.line, *islice(block.columns.values(), _COLUMNS)]
        rows = range(min(_ROWS - len(lines), len(block.line)))
        lines += [[str(c[i]) for c in columns] for i in rows]
        if len(lines) >= _ROWS:
            break
    return names, lines


def _groups(m: Measurement) -> str:
    names = (
        "program",
        "reads",
        "retention",
        "endurance",
        "iv",
        "mvm",
        "readout",
        "pulses",
        "attempts",
    )
    return ", ".join(f"/{n}" for n in names if getattr(m, n) is not None)


def _show_map(m: Measurement) -> None:
    """Print the conductances of the first sweep or read, coarse, on a logarithmic scale."""
    import numpy as np

    from rramfit.units import format_quantity

    g = _conductances(m)
    if g is None:
        return
    tall, wide = -(-g.shape[0] // _MAP_ROWS), -(-g.shape[1] // _MAP_COLS)
    padded = np.full((-(-g.shape[0] // tall) * tall, -(-g.shape[1] // wide) * wide), np.nan)
    padded[: g.shape[0], : g.shape[1]] = np.where(g > 0, g, np.nan)
    parts = padded.reshape(padded.shape[0] // tall, tall, -1, wide).swapaxes(1, 2)
    blocks = parts.reshape(*parts.shape[:2], -1)
    known = np.isfinite(blocks).any(axis=2)
    middle = np.full(known.shape, np.nan)
    middle[known] = np.log(np.nanmedian(blocks[known], axis=1))
    if not known.any():
        return
    low, high = np.nanmin(middle), np.nanmax(middle)
    scaled = (middle - low) / (high - low) if high > low else np.where(known, 0.5, np.nan)
    shade = np.where(known, 1 + np.clip(np.nan_to_num(scaled) * 4, 0, 3), 0).astype(int)
    for line in shade:
        click.echo("  " + "".join(_SHADES[k] for k in line))
    each = f", {tall} × {wide} cells a character" if tall * wide > 1 else ""
    limits = " to ".join(format_quantity(float(np.exp(x)), "S", digits=3) for x in (low, high))
    click.echo(f"  {_SHADES[1]} to {_SHADES[-1]}: {limits}; {_SHADES[0]} not measured{each}")


def _conductances(m: Measurement) -> Any:
    """Return a conductance of each cell, the first that was measured; None if there is none."""
    import numpy as np

    if m.program is not None:
        return next(iter(m.program.blocks(1))).conductance[0]
    for reads in (m.reads, m.retention):
        if reads is not None:
            return next(iter(reads.blocks(1)))[0]
    if m.endurance is not None:
        return m.endurance.conductance[0, 0]
    if m.iv is not None:
        slope = np.nanmax(np.abs(m.iv.current), axis=1) / np.nanmax(np.abs(m.iv.voltages), axis=1)
        return _placed(m, m.iv, slope)
    if m.pulses is not None:
        return _placed(m, m.pulses, m.pulses.conductance[:, 0, 0])
    return None


def _placed(m: Measurement, curves: IVSweeps | Pulses, values: Any) -> Any:
    """Return a map of one value per curve or device."""
    import numpy as np

    g = np.full((m.rows, m.cols), np.nan)
    g[curves.row, curves.col] = values
    return g
