"""`rramfit measurement`: check, inspect, convert and synthesize measurement files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit.errors import sentence
from rramfit_cli.commands.plan_lines import plan_lines
from rramfit_cli.commands.synthesize import synthesize
from rramfit_cli.console import console, print_json, stages
from rramfit_cli.file_kinds import MEASUREMENT, wrong_kind
from rramfit_cli.options.types import OUTPUT
from rramfit_cli.suggestions import SuggestingGroup

if TYPE_CHECKING:
    from rramfit.measurement import Problem
    from rramfit.measurement.file.inspection import Inspection
    from rramfit.measurement.lab.convert import Conversion

__all__ = ["measurement"]

_REFUSED = 3  # exit code: the input is at fault, not the command line

_FILE = click.Path(path_type=Path)


@click.group(cls=SuggestingGroup)
def measurement() -> None:
    """Check, inspect, convert and synthesize measurement files."""


measurement.add_command(synthesize)
measurement.add_command(plan_lines)


@measurement.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """List all violations of layout 1.0, with remedies.

    Exit code 3: there is a violation. Notes name content that is ignored; they are not violations.
    """
    found = []
    with stages("checking") as stage:
        for path in files:
            stage(str(path))
            found.append((path, _problems(path)))
    valid = all(p.note for _, problems in found for p in problems)
    if as_json:
        print_json({"valid": valid, "files": [_file_json(p, q) for p, q in found]})
    else:
        for path, problems in found:
            _print_problems(path, problems)
    if not valid:
        raise SystemExit(_REFUSED)


def _problems(path: Path) -> list[Problem]:
    """List the problems of a file; one problem if the file is of another kind."""
    from rramfit.measurement import Problem, validate_layout

    problems = validate_layout(path)
    other = wrong_kind(path, MEASUREMENT) if any(not p.note for p in problems) else None
    if other is None:
        return problems
    found, expected = other.found.label, other.expected.label
    return [Problem(path=path, where="/", found=found, expected=expected, remedy=other.remedy)]


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
        click.secho(f"{path}: conforms to layout 1.0", fg="green")
    else:
        counted = "1 problem" if violations == 1 else f"{violations} problems"
        click.secho(f"{path}: {counted}", fg="red", bold=True)
    for p in problems:
        head = click.style("note ", fg="cyan") if p.note else ""
        click.echo(f"  {head}{click.style(p.where, bold=True)}: found {p.found}")
        click.echo(f"      expected {p.expected}")
        if p.remedy:
            click.echo(f"      {sentence(p.remedy)}")


@measurement.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(file: Path, *, as_json: bool) -> None:
    """Show the content of FILE and which fits it allows."""
    from rramfit.measurement.file.inspection import inspect_measurement

    inspection = inspect_measurement(file)
    if as_json:
        print_json(inspection.to_dict())
    else:
        _print_inspection(inspection)


def _print_inspection(inspection: Inspection) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    identity = inspection.identity
    synthetic = ", synthetic" if identity.synthetic else ""
    out.print(
        f"[bold]{escape(identity.array_id)}[/bold]  {inspection.rows} × {inspection.cols} cells, "
        f"{identity.cell}{synthetic}",
        soft_wrap=True,
    )
    names = ("lot", "wafer", "die", "technology", "instrument", "operator", "measured_at")
    named = [f"{n} {v}" for n in names if (v := getattr(identity, n)) is not None]
    if identity.temperature is not None:
        named.append(f"{identity.temperature:g} K")
    for line in filter(None, (", ".join(named), identity.comment)):
        out.print(line, soft_wrap=True, markup=False)

    for group in inspection.groups:
        out.print(f"\n[bold]/{group.name}[/bold]  {escape(group.summary)}", soft_wrap=True)
        contents = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
        for d in group.datasets:
            contents.add_row(d.name, " × ".join(map(str, d.shape)), d.type, d.units)
        for key, value in group.attributes.items():
            contents.add_row(f"@{key}", escape(str(value)), "", "")
        out.print(contents)

    out.print()
    fits = Table("fit", "possible", "remark")
    for fit in inspection.fits:
        mark = "[green]yes[/green]" if fit.allowed else "[red]no[/red]"
        remark = fit.remark if fit.allowed else "missing: " + ", ".join(fit.missing)
        fits.add_row(fit.fit, mark, remark)
    out.print(fits)


@measurement.command()
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--layout", required=True, type=_FILE, help="TOML file that describes the format of IN."
)
@click.option("-o", "--out", required=True, type=OUTPUT, help="Measurement file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(files: tuple[Path, ...], *, layout: Path, out: Path, as_json: bool) -> None:
    """Convert files in your own format to layout 1.0.

    Several logs IN, such as one before and one after a bake, must have the same columns. If the
    layout divides the array into tiles, OUT_tile0.h5, OUT_tile1.h5, … are written. Unusable rows of
    a log are counted and listed; the other rows are converted.
    """
    from rramfit.measurement.lab.convert import convert_measurement, write_conversion

    with stages("converting") as stage:
        stage("reading")
        conversion = convert_measurement(files, layout)
        stage("writing")
        written = write_conversion(conversion, out)
    if as_json:
        print_json({"written": [str(p) for p in written], **conversion.rows_to_dict()})
    else:
        _print_conversion(conversion, written)


def _print_conversion(conversion: Conversion, written: tuple[Path, ...]) -> None:
    for m, path in zip(conversion.measurements, written, strict=True):
        click.secho(f"{path}  {m.identity.array_id}, {m.rows} × {m.cols} cells", fg="green")
    if conversion.empty:
        tiles = ", ".join(map(str, conversion.empty))
        click.echo(f"not written, because they have no reading: tiles {tiles}")
    if conversion.rows:
        unused = f", {conversion.unused} of them used by no group" if conversion.unused else ""
        click.echo(f"{conversion.rows} rows{unused}")
    if conversion.bad:
        from rramfit.units import counted

        ignored = counted(conversion.bad_rows, "bad row")
        click.secho(f"{ignored} ignored", fg="red", bold=True)
        for bad in conversion.bad:
            click.echo(f"  {len(bad.lines)} in {bad}")


@measurement.command("guess-layout")
@click.argument("file", type=_FILE)
@click.option("-o", "--out", type=OUTPUT, help="File to write instead of standard output.")
def guess_layout(file: Path, *, out: Path | None) -> None:
    """Draft a layout file for FILE.

    Guessed lines are marked CHECK, unknown values FILL IN. Check and complete the draft by hand.
    """
    from rramfit.measurement.lab.guess import guess_layout as draft
    from rramfit.provenance import atomic_file

    text = draft(file)
    if out is None:
        click.echo(text, nl=False)
        return
    with atomic_file(out) as beside:
        beside.write_text(text, encoding="utf-8")
    click.echo(f"{out} written. Check every line that is marked CHECK or FILL IN.", err=True)
