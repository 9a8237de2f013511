"""`rramfit measurement`: check, show and bring in measurement files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.commands.plan_lines import plan_lines
from rramfit_cli.commands.synthesize import synthesize
from rramfit_cli.console import console, print_json, stages
from rramfit_cli.options.types import OUTPUT

if TYPE_CHECKING:
    from rramfit.measurement import Problem
    from rramfit.measurement.file.inspection import Inspection
    from rramfit.measurement.lab.convert import Conversion

__all__ = ["measurement"]

REFUSED = 3  # exit code: the input is at fault, not the command line

_FILE = click.Path(path_type=Path)


@click.group()
def measurement() -> None:
    """Check, show and bring in measurement files."""


measurement.add_command(synthesize)
measurement.add_command(plan_lines)


@measurement.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """List every violation of layout 1.0 in FILE..., each with its mend.

    Exits with 3 where there is any. Notes tell what a file holds besides; they are no violations.
    """
    from rramfit.measurement import validate_layout

    found = []
    with stages("checking") as stage:
        for path in files:
            stage(str(path))
            found.append((path, validate_layout(path)))
    valid = all(p.note for _, problems in found for p in problems)
    if as_json:
        print_json({"valid": valid, "files": [_file_json(p, q) for p, q in found]})
    else:
        for path, problems in found:
            _print_problems(path, problems)
    if not valid:
        raise SystemExit(REFUSED)


def _file_json(path: Path, problems: list[Problem]) -> dict[str, object]:
    violations = [p.to_dict() for p in problems if not p.note]
    return {
        "path": str(path),
        "valid": not violations,
        "problems": violations,
        "notes": [p.to_dict() for p in problems if p.note],
    }


def _print_problems(path: Path, problems: list[Problem]) -> None:
    violations = sum(not p.note for p in problems)
    if not violations:
        click.secho(f"{path}: keeps to layout 1.0", fg="green")
    else:
        counted = "1 problem" if violations == 1 else f"{violations} problems"
        click.secho(f"{path}: {counted}", fg="red", bold=True)
    for p in problems:
        head = click.style("note ", fg="cyan") if p.note else ""
        click.echo(f"  {head}{click.style(p.where, bold=True)}: found {p.found}")
        click.echo(f"      expected {p.expected}")
        if p.remedy:
            click.echo(f"      {p.remedy}")


@measurement.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(file: Path, *, as_json: bool) -> None:
    """Show what FILE holds, and which fits it allows."""
    from rramfit.measurement.file.inspection import inspect_measurement

    seen = inspect_measurement(file)
    if as_json:
        print_json(seen.to_dict())
    else:
        _print_inspection(seen)


def _print_inspection(seen: Inspection) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    identity = seen.identity
    made = ", synthetic" if identity.synthetic else ""
    out.print(
        f"[bold]{escape(identity.array_id)}[/bold]  {seen.rows} × {seen.cols} cells, "
        f"{identity.cell}{made}",
        soft_wrap=True,
    )
    told = ("lot", "wafer", "die", "technology", "instrument", "operator", "measured_at")
    named = [f"{n} {v}" for n in told if (v := getattr(identity, n)) is not None]
    if identity.temperature is not None:
        named.append(f"{identity.temperature:g} K")
    for line in filter(None, (", ".join(named), identity.comment)):
        out.print(line, soft_wrap=True, markup=False)

    for group in seen.groups:
        out.print(f"\n[bold]/{group.name}[/bold]  {escape(group.words)}", soft_wrap=True)
        contents = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
        for d in group.datasets:
            contents.add_row(d.name, " × ".join(map(str, d.shape)), d.type, d.units)
        for key, value in group.attributes.items():
            contents.add_row(f"@{key}", escape(str(value)), "", "")
        out.print(contents)

    out.print()
    fits = Table("fit", "allowed", "missing, or given up")
    for fit in seen.fits:
        mark = "[green]yes[/green]" if fit.allowed else "[red]no[/red]"
        words = fit.remark if fit.allowed else "missing: " + ", ".join(fit.missing)
        fits.add_row(fit.fit, mark, words)
    out.print(fits)


@measurement.command()
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=_FILE)
@click.option("--layout", required=True, type=_FILE, help="TOML file that says what stands where.")
@click.option("-o", "--out", required=True, type=OUTPUT, help="Measurement file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(files: tuple[Path, ...], *, layout: Path, out: Path, as_json: bool) -> None:
    """Bring a lab's own file IN... to layout 1.0.

    Several logs with the same columns may be given, as those before and after a bake. Where the
    layout cuts the array into tiles, OUT_tile0.h5, OUT_tile1.h5, … are written. Rows of a log that
    cannot be used are counted and named; the others are converted.
    """
    from rramfit.measurement.lab.convert import convert_measurement, write_conversion

    with stages("converting") as stage:
        stage("reading")
        conversion = convert_measurement(files, layout)
        stage("writing")
        written = write_conversion(conversion, out)
    if as_json:
        print_json({"written": [str(p) for p in written], **conversion.account()})
    else:
        _print_conversion(conversion, written)


def _print_conversion(conversion: Conversion, written: tuple[Path, ...]) -> None:
    for m, path in zip(conversion.measurements, written, strict=True):
        click.secho(f"{path}  {m.identity.array_id}, {m.rows} × {m.cols} cells", fg="green")
    if conversion.empty:
        tiles = ", ".join(map(str, conversion.empty))
        click.echo(f"not written, without any reading: tile {tiles}")
    if conversion.rows:
        unused = f", {conversion.unused} that no group asks for" if conversion.unused else ""
        click.echo(f"{conversion.rows} rows{unused}")
    if conversion.bad:
        click.secho(f"{conversion.bad_rows} bad rows left out", fg="red", bold=True)
        for bad in conversion.bad:
            click.echo(f"  {len(bad.lines)} in {bad}")


@measurement.command("guess-layout")
@click.argument("file", type=_FILE)
@click.option("-o", "--out", type=OUTPUT, help="Write it here instead of to standard output.")
def guess_layout(file: Path, *, out: Path | None) -> None:
    """Draft a layout file for FILE, to be read and completed by hand.

    Lines that rest on a guess say CHECK; what could not be told says FILL IN.
    """
    from rramfit.measurement.lab.guess import guess_layout as draft
    from rramfit.provenance import whole_file

    text = draft(file)
    if out is None:
        click.echo(text, nl=False)
        return
    with whole_file(out) as beside:
        beside.write_text(text, encoding="utf-8")
    click.echo(f"{out} written: read every line that says CHECK or FILL IN", err=True)
