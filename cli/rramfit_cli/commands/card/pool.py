"""`rramfit card pool` and `rramfit card trend`: what several arrays tell that one cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rramfit_cli.console import console, print_json, stages
from rramfit_cli.file_kinds import CARD, identify
from rramfit_cli.options.types import INPUT, OUTPUT, OUTPUT_REPORT, SEED, output_of
from rramfit_cli.overwriting import force_option
from rramfit_cli.page_origin import page_origin

if TYPE_CHECKING:
    from rramfit.card import ModelCard
    from rramfit.fitting.pooling import Pool
    from rramfit.fitting.pooling.trend import Trend
    from rramfit.reporting.page.document import Report

__all__ = ["pool", "trend"]

_SHOWN = ("mean", "std", "d2d", "c2c", "read", "probability", "low", "high", "nonlinearity")


@click.command()
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=INPUT)
@click.option("-o", "--output", type=output_of("card", "card pool"), help="Pooled card to write.")
@click.option("--name", default="pooled", show_default=True, help="Name of the pooled card.")
@click.option(
    "--identity",
    metavar="CSV",
    type=INPUT,
    help="Table with the columns name (of a card), and lot, wafer or die.",
)
@click.option(
    "--tables",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for parameters.csv and arrays.csv.",
)
@click.option("--html", "page", type=OUTPUT_REPORT, help="HTML page to write.")
@click.option("--seed", type=SEED, default=0, help="Seed of fits to measurements.")
@click.option("--all", "every", is_flag=True, help="Print all parameters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def pool(
    paths: tuple[Path, ...],
    output: Path | None,
    name: str,
    identity: Path | None,
    tables: Path | None,
    page: Path | None,
    seed: int,
    every: bool,
    as_json: bool,
) -> None:
    """Estimate how much arrays, dies, wafers and lots differ.

    FILEs are model cards or measurements of several arrays with the same levels. For each
    parameter: the standard deviation of each kind of group with its interval, the prediction
    interval of a new array, and the arrays that the others do not predict. The pooled card states
    the standard deviation between arrays, so that chips drawn from it differ as arrays do.
    """
    from rramfit.card import save_card
    from rramfit.fitting.pooling import pool_cards, pooled_card
    from rramfit.provenance import atomic_file, check_folder

    if tables is not None:
        check_folder(tables)
    cards = _cards(paths, seed)
    with stages(f"pooling {len(cards)} cards"):
        found = pool_cards(cards, identity=None if identity is None else _identity(identity))
    if output is not None:
        save_card(pooled_card(found, name=name), output)
    if tables is not None:
        for table, frame in (("parameters", found.to_frame()), ("arrays", found.arrays_frame())):
            with atomic_file(tables / f"{table}.csv") as beside:
                frame.to_csv(beside, index=table == "parameters")
    if page is not None:
        from rramfit.reporting.pooling import pool_report

        _save_page(pool_report(found), page, paths, cards, seed)
    if as_json:
        print_json(_pool_json(found))
        return
    _print_pool(found, every=every)
    for what, path in (("card", output), ("page", page)):
        if path is not None:
            click.echo(f"  {what}   {path}")


@click.command()
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=INPUT)
@click.option(
    "--baseline",
    type=click.IntRange(min=1),
    show_default="half of the arrays",
    help="Number of arrays, the first in time, that are known to be good.",
)
@click.option(
    "--weight",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.2,
    show_default=True,
    help="Weight of the latest array in the moving average.",
)
@click.option("-o", "--output", type=OUTPUT, help="Table to write, .csv.")
@click.option("--html", "page", type=OUTPUT_REPORT, help="HTML page with the charts to write.")
@click.option("--seed", type=SEED, default=0, help="Seed of fits to measurements.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@force_option
def trend(
    paths: tuple[Path, ...],
    baseline: int | None,
    weight: float,
    output: Path | None,
    page: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Chart parameters over time with control limits (EWMA).

    FILEs are model cards or measurements, ordered by the time of the measurement. Exit code 4: a
    parameter passes its control limits.
    """
    from rramfit.fitting.pooling.trend import trend_of
    from rramfit.provenance import atomic_file

    cards = _cards(paths, seed)
    found = trend_of(cards, baseline=baseline, weight=weight)
    if output is not None:
        with atomic_file(output) as beside:
            found.to_frame().to_csv(beside, index=False)
    if page is not None:
        from rramfit.reporting.pooling import trend_report

        _save_page(trend_report(found), page, paths, cards, seed)
    if as_json:
        print_json(_trend_json(found))
    else:
        _print_trend(found)
    if found.out:
        sys.exit(4)


def _save_page(
    report: Report, page: Path, paths: tuple[Path, ...], cards: list[ModelCard], seed: int
) -> None:
    """Write a page, with the files that it was made from."""
    from rramfit.reporting.page.origin import with_origin

    time, source = max((c.provenance.time, c.provenance.time_source) for c in cards)
    with_origin(report, page_origin(paths, time=f"{time} ({source})", seed=seed)).save(page)


def _cards(paths: tuple[Path, ...], seed: int) -> list[ModelCard]:
    """Load cards; characterize the files that are measurements."""
    from rramfit.card import load_card

    cards = []
    for path in paths:
        if identify(path) is CARD or path.suffix == ".json":
            cards.append(load_card(path))
        else:
            from rramfit.fitting.characterization import characterize

            with stages(f"characterizing {path.name}") as on_stage:
                cards.append(characterize(path, name=path.stem, seed=seed, on_stage=on_stage).card)
    return cards


def _identity(path: Path) -> dict[str, dict[str, str]]:
    """Read a table of lot, wafer and die by the name of a card."""
    import pandas as pd

    from rramfit.errors import InputError
    from rramfit.fitting.pooling.pool import KINDS

    columns = f"the columns name and {', '.join(KINDS[:-1])} or {KINDS[-1]}"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as e:
        raise InputError(
            path, "table", found=str(e), expected=f"a CSV file with {columns}"
        ) from None
    kinds = [kind for kind in KINDS if kind in table.columns]
    if "name" not in table.columns or not kinds:
        listed = ", ".join(map(str, table.columns))
        raise InputError(path, "header", found=listed or "no column", expected=columns)
    return {
        str(row["name"]): {kind: str(row[kind]) for kind in kinds if row[kind]}
        for row in table.to_dict("records")
    }


def _pool_json(found: Pool) -> dict[str, object]:
    return {
        "cards": [card.name for card in found.cards],
        "notes": list(found.notes),
        "parameters": {
            p.path: {
                "unit": p.unit,
                "cards": int(p.cards.size),
                "mean": p.mean.value,
                "ci95": list(p.mean.ci95 or ()),
                "between": p.mean.between,
                "std": {
                    c.name: {
                        "value": c.std,
                        "ci95": [c.low, c.high],
                        "p_value": c.p_value,
                        "groups": c.groups,
                    }
                    for c in p.components
                },
                "new_array": {
                    "where": p.new_array.where,
                    "value": p.new_array.value,
                    "interval95": [p.new_array.low, p.new_array.high],
                },
                "known": {
                    kind: [
                        {"where": q.where, "value": q.value, "interval95": [q.low, q.high]}
                        for q in predictions
                    ]
                    for kind, predictions in p.known.items()
                },
                "outliers": [found.cards[i].name for i in p.outliers],
            }
            for p in found.parameters.values()
        },
    }


def _print_pool(found: Pool, *, every: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from rramfit.reporting.page.wording import with_unit

    kinds = max(([c.name for c in p.components] for p in found.parameters.values()), key=len)
    columns = ("parameter", "mean", *(f"std between {kind}s" for kind in kinds), "new array, 95 %")
    table = Table(*columns, "outliers", box=None, pad_edge=False)
    shown = [
        p for path, p in found.parameters.items() if every or path.rpartition(".")[2] in _SHOWN
    ] or list(found.parameters.values())
    for p in shown:
        stds = {
            c.name: f"{with_unit(c.std, p.unit, digits=2)} "
            f"({with_unit(c.low, p.unit, digits=2)} to {with_unit(c.high, p.unit, digits=2)})"
            for c in p.components
        }
        new = p.new_array
        table.add_row(
            p.path,
            with_unit(p.mean.value, p.unit),
            *(stds.get(kind, "") for kind in kinds),
            f"{with_unit(new.low, p.unit)} to {with_unit(new.high, p.unit)}",
            escape(" ".join(found.cards[i].name for i in p.outliers)),
        )
    out = console()
    out.print(f"{len(found.cards)} cards pooled.", highlight=False)
    out.print(table, highlight=False)
    hidden = len(found.parameters) - len(shown)
    if hidden:
        out.print(f"{hidden} more parameters with --all.", highlight=False)
    for note in found.notes:
        out.print(note, highlight=False)


def _trend_json(found: Trend) -> dict[str, object]:
    return {
        "cards": [card.name for card in found.cards],
        "baseline": found.baseline,
        "limit": found.limit,
        "out": found.out,
        "parameters": {
            p.path: {
                "unit": p.unit,
                "cards": [found.cards[i].name for i in p.cards],
                "value": p.value.tolist(),
                "ewma": p.average.tolist(),
                "low": p.low.tolist(),
                "high": p.high.tolist(),
            }
            for p in found.parameters.values()
        },
    }


def _print_trend(found: Trend) -> None:
    from rich.table import Table

    from rramfit.reporting.page.wording import with_unit

    out = console()
    out.print(found.summary, highlight=False)
    if not found.out:
        return
    columns = ("parameter", "baseline", "latest average", "control limits", "past the limits at")
    table = Table(*columns, box=None, pad_edge=False)
    for path, names in found.out.items():
        p = found.parameters[path]
        table.add_row(
            path,
            with_unit(p.centre, p.unit),
            with_unit(float(p.average[-1]), p.unit),
            f"{with_unit(float(p.low[-1]), p.unit)} to {with_unit(float(p.high[-1]), p.unit)}",
            ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else ""),
        )
    out.print(table, highlight=False)
