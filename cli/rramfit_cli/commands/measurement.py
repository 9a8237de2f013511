"""`rramfit measurement`: check, inspect, convert and synthesize measurement files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit.errors import sentence
from rramfit_cli.commands.plans import gauge, plan, plan_lines
from rramfit_cli.commands.sample import sample
from rramfit_cli.commands.synthesize import synthesize
from rramfit_cli.console import console, print_json, stages
from rramfit_cli.file_kinds import MEASUREMENT, wrong_kind
from rramfit_cli.options.types import INPUT, OUTPUT, output_of
from rramfit_cli.overwriting import force_option
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
measurement.add_command(sample)
measurement.add_command(plan)
measurement.add_command(gauge)
measurement.add_command(plan_lines)


@measurement.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """List all violations of the layout, with remedies.

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


def _version(path: Path) -> str:
    from rramfit.measurement.file.opening import open_measured, plain

    with open_measured(path) as f:
        return str(plain(f.attrs["format_version"]))


def _print_problems(path: Path, problems: list[Problem]) -> None:
    violations = sum(not p.note for p in problems)
    if not violations:
        click.secho(f"{path}: conforms to layout {_version(path)}", fg="green")
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
@click.argument("file", type=INPUT)
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
        if group.feeds:
            out.print(f"  feeds: {', '.join(group.feeds)}", soft_wrap=True)
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
        fits.add_row(fit.fit, mark, fit.comment)
    out.print(fits)


@measurement.command()
@click.option("--json", "form", flag_value="json", help="Print one JSON object.")
@click.option("--markdown", "form", flag_value="markdown", help="Print a page in Markdown.")
def layout(form: str | None) -> None:
    """Print the layout of measurement files: groups, datasets, shapes, units, attributes."""
    from rramfit.measurement.file.contract import documentation

    if form == "json":
        print_json(documentation.layout_json())
    elif form == "markdown":
        click.echo(documentation.layout_markdown(), nl=False)
    else:
        click.echo(documentation.layout_text(), nl=False)


@measurement.command()
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=INPUT)
@click.option(
    "--layout", required=True, type=INPUT, help="TOML file that describes the format of IN."
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=output_of("measurement", "convert"),
    help="Measurement file to write.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def convert(files: tuple[Path, ...], *, layout: Path, out: Path, as_json: bool) -> None:
    """Convert files in your own format to a measurement file.

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
            click.echo(f"  {bad.rows} in {bad}")


_GROUP = click.Choice(
    ["program", "reads", "retention", "endurance", "iv", "pulses", "attempts"], case_sensitive=False
)


@measurement.command("guess-layout")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT)
@click.option("--as", "group", type=_GROUP, help="What the rows are, if the guess is wrong.")
@click.option("-o", "--out", type=OUTPUT, help="File to write instead of standard output.")
@force_option
def guess_layout(files: tuple[Path, ...], *, group: str | None, out: Path | None) -> None:
    """Draft a layout file for FILE.

    Comments say what each column was taken for and why, and what was left out. Review the lines
    marked CHECK: they are guesses, or assumptions about what the file does not contain.
    """
    from rramfit.measurement.lab.guess import guess_layout as draft
    from rramfit.provenance import atomic_file

    text = draft(*files, group=group)
    if out is None:
        click.echo(text, nl=False)
        return
    with atomic_file(out) as beside:
        beside.write_text(text, encoding="utf-8")
    click.echo(f"{out} written. Review every line that is marked CHECK or FILL IN.", err=True)


@measurement.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT)
@click.option("--layout", type=INPUT, help="Layout file; drafted from FILE if not given.")
@click.option("--as", "group", type=_GROUP, help="What the rows are, if the guess is wrong.")
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=output_of("measurement", "convert"),
    help="Measurement file to write.",
)
@force_option
def import_(
    files: tuple[Path, ...], *, layout: Path | None, group: str | None, yes: bool, out: Path
) -> None:
    """Import FILE as a measurement file: guess, show, ask, convert and check in one step.

    The first rows, the lines of the layout to check and a map of the array are shown before the
    file is written. The layout is stored in the file, as `/layout_file`.
    """
    import tempfile

    from rramfit.measurement.lab.convert import convert_measurement, write_conversion
    from rramfit.measurement.lab.guess import guess_layout as draft
    from rramfit.measurement.lab.layout import read_layout
    from rramfit_cli.preview import show_checks, show_preview

    with tempfile.TemporaryDirectory(prefix="rramfit-") as folder, stages("importing") as stage:
        chosen = layout
        if chosen is None:
            stage("guessing the layout")
            chosen = Path(folder) / "layout.toml"
            chosen.write_text(draft(*files, group=group), encoding="utf-8")
        stage("reading")
        conversion = convert_measurement(files, chosen)
        text = chosen.read_text(encoding="utf-8-sig")
        parsed = read_layout(chosen)
    if yes:
        show_checks(text)
    else:
        show_preview(files, parsed, text, conversion)
        click.confirm(f"\nWrite {out}?", default=True, abort=True)
    with stages("importing") as stage:
        stage("writing")
        written = write_conversion(conversion, out)
        stage("checking")
        found = [(path, _problems(path)) for path in written]
    _print_conversion(conversion, written)
    for path, problems in found:
        _print_problems(path, problems)
    if any(not p.note for _, problems in found for p in problems):
        raise SystemExit(_REFUSED)
