"""`rramfit measurement plan-lines`: input patterns from which to fit the line resistances."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.options.array import ArrayOptions, array_options
from rramfit_cli.options.types import OUTPUT, FiniteRange
from rramfit_cli.overwriting import force_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rramfit.fitting.electrical.line_plan import LinePlan

__all__ = ["plan_lines"]

_NOT_REACHED = 4  # exit code: no set of patterns reaches the wanted standard errors
_NAMES = ("wordline", "bitline", "driver", "sense")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@click.command("plan-lines")
@array_options
@click.option(
    "--want",
    "wanted",
    metavar="NAME=OHM",
    multiple=True,
    required=True,
    help="Wanted standard error of wordline, bitline, driver or sense; repeat for several.",
)
@click.option("--read-voltage", type=float, default=0.2, help="Voltage of active rows [V].")
@click.option(
    "--current-noise",
    type=FiniteRange(min=0, min_open=True),
    default=0.01,
    help="Relative noise of a column current.",
)
@click.option(
    "--cell-error", type=FiniteRange(min=0), default=0.005, help="Relative error of a cell read."
)
@click.option("--most", type=click.IntRange(min=4), default=64, help="Largest number of patterns.")
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    help="File for the patterns [V], one per line: .csv, .tsv or .npy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def plan_lines(
    options: ArrayOptions,
    *,
    wanted: tuple[str, ...],
    read_voltage: float,
    current_noise: float,
    cell_error: float,
    most: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Propose input patterns for fitting the line resistances.

    SOURCE provides cells like those to be measured: a card, a measurement file or a matrix. Give
    your first estimate of the wire resistances with --wires or --r-wl, --r-bl, --r-driver and
    --r-sense. Exit code 4: no set of patterns reaches the wanted standard errors; the best set is
    printed.
    """
    from rramfit.fitting.electrical.line_plan import plan_lines as plan

    errors = _wanted(wanted)
    if output is not None and output.suffix not in (*_SEPARATORS, ".npy"):
        msg = f"{output}: the name must end in .csv, .tsv or .npy"
        raise click.BadParameter(msg, param_hint="-o")
    with stages("planning") as stage:
        stage("cells and wires")
        g, line = options.conductance, options.line
        if line.drive != "left" or line.broken:
            msg = "patterns are planned for unbroken wires driven from the left only"
            raise click.UsageError(msg)
        stage("patterns")
        found = plan(
            g,
            line,
            wanted=errors,
            read_voltage=read_voltage,
            current_noise=current_noise,
            cell_error=cell_error,
            max_patterns=most,
            seed=options.seed,
        )
    if output is not None:
        _write(output, found.voltage)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
        if output is not None:
            click.echo(f"patterns  {output}")
    if not found.met:
        sys.exit(_NOT_REACHED)


def _wanted(given: tuple[str, ...]) -> dict[str, float]:
    """Parse standard errors [ohm], by name of the resistance."""
    out = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            error = float(value)
        except ValueError:
            error = 0.0
        if name not in _NAMES or not 0 < error < float("inf"):
            names = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
            msg = f"{text!r} is not NAME=OHM, where NAME is {names} and OHM is positive"
            raise click.BadParameter(msg, param_hint="--want")
        out[f"{name}_resistance"] = error
    return out


def _write(path: Path, voltage: NDArray[np.float64]) -> None:
    import numpy as np

    from rramfit.provenance import atomic_file

    with atomic_file(path) as beside, beside.open("wb") as f:
        if path.suffix == ".npy":
            np.save(f, voltage)
        else:
            np.savetxt(f, voltage, fmt="%.6g", delimiter=_SEPARATORS[path.suffix])


def _as_json(plan: LinePlan) -> dict[str, object]:
    return {
        "kind": plan.kind,
        "patterns": len(plan.voltage),
        "met": plan.met,
        "wanted": plan.wanted,
        "stderr": plan.stderr,
        "compared": [
            {"kind": kind, "patterns": count, "stderr": errors}
            for (kind, count), errors in plan.compared.items()
        ],
        "voltage": plan.voltage.tolist(),
    }


def _print(plan: LinePlan) -> None:
    from rich.table import Table

    from rramfit.reporting.page.wording import number

    table = Table("active rows", "patterns", *(f"± {name} [ohm]" for name in _NAMES), box=None)
    for (kind, count), errors in plan.compared.items():
        mark = "bold" if (kind, count) == (plan.kind, len(plan.voltage)) else None
        cells = (number(errors[f"{name}_resistance"], 2) for name in _NAMES)
        table.add_row(kind, str(count), *cells, style=mark)
    console().print(table, highlight=False)
    click.echo(plan.summary())
