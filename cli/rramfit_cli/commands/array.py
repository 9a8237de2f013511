"""`rramfit array`: column currents of an array with wires, and the solvers that compute them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.options.array import ArrayOptions, array_options, read_matrix
from rramfit_cli.options.types import INPUT, OUTPUT_REPORT
from rramfit_cli.overwriting import force_option
from rramfit_cli.suggestions import SuggestingGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from rramfit.array.wires.certificate import Certificate
    from rramfit.array.wires.solution import ArraySolution

    Floats = NDArray[np.float64]

__all__ = ["array"]


@click.group(cls=SuggestingGroup)
def array() -> None:
    """Compute column currents of an array with wires, and compare solvers."""


def _input_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option(
            "--drive",
            metavar="all|half|row:N",
            help="Active rows.",
            show_default="the patterns of a measurement, else all",
        ),
        click.option(
            "--vectors",
            type=click.IntRange(min=1),
            default=8,
            help="Input vectors of --drive half.",
        ),
        click.option("--read-voltage", type=float, default=0.2, help="Voltage of active rows [V]."),
        click.option(
            "--input",
            "inputs",
            type=INPUT,
            help="File of row voltages [V], one vector per line: .npy, .csv or .tsv.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@array.command()
@array_options
@_input_options
@click.option(
    "--vector", type=click.IntRange(min=0), default=0, help="Input vector to plot in the report."
)
@click.option("-o", "--output", type=OUTPUT_REPORT, help="HTML report to write.")
@force_option
def solve(
    options: ArrayOptions,
    *,
    drive: str | None,
    vectors: int,
    read_voltage: float,
    inputs: Path | None,
    as_json: bool,
    vector: int,
    output: Path | None,
) -> None:
    """Solve an array exactly: column currents and IR drop.

    Also prints the errors of the fast estimates. SOURCE is a card (a chip is drawn from it), a
    measurement file (the cells of its /mvm group) or a matrix of conductances.
    """
    from rramfit.array.wires.solution import solve_array
    from rramfit.array.wires.solver_comparison import estimate_certificates

    with stages("solving") as stage:
        stage("cells and wires")
        g, line = options.conductance, options.line
        v = _voltages(options, drive, vectors, read_voltage, inputs)
        if vector >= len(v):
            msg = f"{vector} is out of range: there {_inputs(len(v))}, numbered from 0"
            raise click.BadParameter(msg, param_hint="--vector")
        stage("array")
        start = time.perf_counter()
        solution = solve_array(g, v, line)
        seconds = time.perf_counter() - start
        stage("estimates")
        certificates = estimate_certificates(g, v, line, seed=options.seed)
        if output is not None:
            from rramfit.reporting.array_report import array_report

            stage("report")
            array_report(
                solution,
                certificates,
                title=options.source.stem.removesuffix(".card"),
                facts=options.facts(),
                at=vector,
            ).save(output)
    if as_json:
        print_json(_solution_json(options, solution, certificates, seconds))
    else:
        _print_solution(options, solution, certificates, seconds)
        if output is not None:
            click.echo(f"report: {output}")
    for name, c in certificates.items():
        if not c.ok:
            click.echo(
                f"warning: the rms error of the {name} estimate is {c.rms:.2g} % of full scale, "
                "more than 3 %. Use the exact solver for this array.",
                err=True,
            )


@array.command()
@array_options
@_input_options
def compare(
    options: ArrayOptions,
    *,
    drive: str | None,
    vectors: int,
    read_voltage: float,
    inputs: Path | None,
    as_json: bool,
) -> None:
    """Run all solvers on one array: error and time of each.

    The estimates are tested on cells that they were not set up with: the anchored one is set up
    with cells that differ by 15 %, the smooth one with the same cells at other places. The setup
    time is spent once per array or card.
    """
    from rramfit.array.wires.solver_comparison import compare_solvers

    with stages("comparing") as stage:
        stage("cells and wires")
        g, line = options.conductance, options.line
        v = _voltages(options, drive, vectors, read_voltage, inputs)
        stage("solvers")
        runs = compare_solvers(g, v, line, seed=options.seed)
    if as_json:
        results = [
            {
                "solver": r.name,
                "setup_s": r.setup,
                "time_s": r.time,
                "rms_percent_of_mean": r.rms,
                "worst_percent_of_largest": r.worst,
                "remark": r.remark,
            }
            for r in runs
        ]
        print_json({**_problem_json(options, v), "solvers": results})
        return
    from rich.table import Table

    for name, value in options.facts():
        click.echo(f"{name}: {value}")
    click.echo(f"inputs: {len(v)}")
    table = Table("solver", "setup", "all inputs", "rms error", "largest", "", box=None)
    for r in runs:
        setup = "" if r.setup is None else _milliseconds(r.setup)
        errors = ("", "") if r.name == "exact" else (f"{r.rms:.2g} %", f"{r.worst:.2g} %")
        table.add_row(r.name, setup, _milliseconds(r.time), *errors, r.remark)
    console().print(table, highlight=False)
    click.echo(
        "rms error in % of the mean column current, largest error in % of the largest current"
    )


def _voltages(
    options: ArrayOptions,
    drive: str | None,
    vectors: int,
    read_voltage: float,
    inputs: Path | None,
) -> Floats:
    """Input vectors [V], (vector, row)."""
    import numpy as np

    from rramfit.streams import stream

    rows = options.conductance.shape[0]
    if inputs is not None:
        if drive is not None:
            msg = "--input and --drive exclude each other: both set the row voltages"
            raise click.UsageError(msg)
        given = read_matrix(inputs, "V", "voltage")
        if given.shape[1] != rows:
            counted = "1 voltage" if given.shape[1] == 1 else f"{given.shape[1]} voltages"
            msg = f"{inputs} has {counted} per line, but the array has {rows} rows"
            raise click.BadParameter(msg, param_hint="--input")
        return given
    if drive is None and options.mvm is not None:
        return np.array(options.mvm.voltage)
    if drive in (None, "all"):
        return np.full((1, rows), read_voltage)
    if drive == "half":
        half = np.broadcast_to(np.arange(rows) < max(1, rows // 2), (vectors, rows))
        on = stream(options.seed, "array/drive").permuted(half, axis=1)
        return np.where(on, read_voltage, 0.0)
    word, _, index = (drive or "").partition(":")
    if word == "row" and index.isdecimal() and int(index) < rows:
        return read_voltage * np.eye(rows)[[int(index)]]
    msg = f"{drive!r}; expected all, half, or row:0 to row:{rows - 1}"
    raise click.BadParameter(msg, param_hint="--drive")


def _problem_json(options: ArrayOptions, voltage: Floats) -> dict[str, Any]:
    rows, cols = options.conductance.shape
    line = options.line
    names = ("r_wl", "r_bl", "r_driver", "r_sense")
    return {
        "source": str(options.source),
        "rows": rows,
        "cols": cols,
        "vectors": len(voltage),
        "line": {
            **{n: float(r) for n, r in zip(names, line.values, strict=True)},
            "drive": line.drive,
            "inactive_rows": line.inactive_rows,
            "broken_wl": [list(x) for x in line.broken_wl],
            "broken_bl": [list(x) for x in line.broken_bl],
        },
    }


def _solution_json(
    options: ArrayOptions,
    solution: ArraySolution,
    certificates: dict[str, Certificate],
    seconds: float,
) -> dict[str, Any]:
    worst, vector, col = solution.worst_lost
    return {
        **_problem_json(options, solution.voltage),
        "lost": {"mean": solution.mean_lost, "worst": worst, "vector": vector, "col": col},
        "time_s": seconds,
        "certificates": {
            name: {
                "rms_percent": c.rms,
                "p99_percent": c.p99,
                "rms_percent_of_mean": c.rms_of_mean,
                "full_scale": c.full_scale,
                "ok": c.ok,
            }
            for name, c in certificates.items()
        },
        "column_current": solution.column_current.tolist(),
        "ideal_current": solution.ideal_current.tolist(),
    }


def _print_solution(
    options: ArrayOptions,
    solution: ArraySolution,
    certificates: dict[str, Certificate],
    seconds: float,
) -> None:
    import numpy as np

    from rramfit.reporting.page.wording import share, with_unit

    for name, value in options.facts():
        click.echo(f"{name}: {value}")
    low, median, high = (
        with_unit(x, "A") for x in np.quantile(solution.column_current, (0.0, 0.5, 1.0))
    )
    worst, vector, col = solution.worst_lost
    click.echo(f"inputs: {len(solution.voltage)}")
    click.echo(f"column currents: {low} to {high}, median {median}")
    click.echo(
        f"lost to IR drop: {share(solution.mean_lost, digits=3)} of all current; at most "
        f"{share(worst, digits=3)}, in column {col} with input {vector}"
    )
    click.echo(f"time: {_milliseconds(seconds)} for the exact solution of all inputs")
    for name, c in certificates.items():
        click.echo(
            f"{name} estimate: rms {c.rms:.2g} %, 99th percentile {c.p99:.2g} % of full scale "
            f"({with_unit(c.full_scale, 'A')})"
        )


def _inputs(count: int) -> str:
    return "is 1 input" if count == 1 else f"are {count} inputs"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
