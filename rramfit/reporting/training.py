"""Report of a training: learning curves, and what each network reaches on chips.

Nothing is computed here: the history is training's, the accuracies are `rramfit.mapping`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rramfit.provenance import package_version
from rramfit.reporting.network import assumption_sections, setup_facts
from rramfit.reporting.page.document import (
    Column,
    KeyFigure,
    KeyFigures,
    Report,
    Section,
    Table,
    figure,
)
from rramfit.reporting.page.theme import INK, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.mapping.study.evaluation import Evaluation
    from rramfit.mapping.tiles.setup import AnalogSetup
    from rramfit.training.loop.history import Epoch

__all__ = ["training_report"]

Found = Mapping[str, "tuple[float, Evaluation | None]"]
"""For each network its digital accuracy, and that on chips where it was judged there."""


def training_report(
    network: str,
    setup: AnalogSetup,
    data: str,
    *,
    recipe: str,
    history: Sequence[Epoch],
    found: Found,
) -> Report:
    """Report a training by its epochs, and its networks on chips."""
    curves = (
        figure(
            partial(_draw_accuracy, history),
            key="accuracy",
            title="Accuracy, epoch by epoch",
            caption="On test images, of the average of weights (in training for chips on freshly "
            "drawn cells), and on augmented training images; stages are parted by a line",
        ),
        figure(
            partial(_draw_loss, history),
            key="loss",
            title="Loss, epoch by epoch",
            caption="Mean over the images of an epoch; with a teacher its share is in it",
        ),
    )
    epochs = Table(
        caption="Epochs",
        columns=(
            Column("stage", numeric=False),
            *(Column(n) for n in ("epoch", "loss", "training %", "test %", "rate", "s")),
        ),
        rows=tuple(
            (
                e.stage,
                str(e.epoch),
                f"{e.loss:.4f}",
                f"{100 * e.train_accuracy:.2f}",
                f"{100 * e.test_accuracy:.2f}",
                f"{e.rate:.3g}",
                f"{e.seconds:.0f}",
            )
            for e in history
        ),
        folded=len(history) > 12,
    )
    networks = Table(
        caption="Accuracy in per cent; the mean over chips with its 95 % interval",
        columns=(
            Column("network", numeric=False),
            *(Column(n) for n in ("digital", "mean", "low", "high", "deviation", "5th", "chips")),
        ),
        rows=tuple(_row(name, digital, on) for name, (digital, on) in found.items()),
    )
    items = [
        KeyFigure(label=f"{name}, digital", value=f"{100 * digital:.2f} %")
        for name, (digital, _) in found.items()
    ]
    items += [
        KeyFigure(
            label=f"{name}, mean over chips",
            value=f"{100 * on.mean.value:.2f} %",
            detail=f"± {100 * on.deviation.value:.2f} between chips",
        )
        for name, (_, on) in found.items()
        if on is not None
    ]
    return Report(
        title=f"{network}, trained",
        subtitle=f"By the recipe {recipe}",
        facts=(("data", data), *setup_facts(setup)),
        lead=(KeyFigures(items=tuple(items)),),
        sections=(
            Section(key="networks", title="Networks", blocks=(networks,)),
            Section(key="epochs", title="Epochs", blocks=(*curves, epochs)),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def _row(name: str, digital: float, on: Evaluation | None) -> tuple[str, ...]:
    if on is None:
        return (name, f"{100 * digital:.2f}", *[""] * 6)
    numbers = (on.mean.value, on.mean.low, on.mean.high, on.deviation.value, on.percentile5.value)
    return (name, f"{100 * digital:.2f}", *(f"{100 * x:.2f}" for x in numbers), str(on.chips))


def _part_stages(history: Sequence[Epoch], ax: Axes) -> None:
    for i in range(1, len(history)):
        if history[i].stage != history[i - 1].stage:
            ax.axvline(i + 0.5, color=INK, linewidth=0.7)
    ax.set_xlabel("epochs")


def _draw_accuracy(history: Sequence[Epoch], ax: Axes) -> None:
    at = range(1, len(history) + 1)
    for label, color, values in (
        ("test", SERIES[0], [e.test_accuracy for e in history]),
        ("training", SERIES[1], [e.train_accuracy for e in history]),
    ):
        ax.plot(at, [100 * v for v in values], color=color, linewidth=1.4, label=label)
    _part_stages(history, ax)
    ax.set_ylabel("accuracy (%)")
    ax.legend(loc="lower right")


def _draw_loss(history: Sequence[Epoch], ax: Axes) -> None:
    ax.plot(range(1, len(history) + 1), [e.loss for e in history], color=SERIES[0], linewidth=1.4)
    _part_stages(history, ax)
    ax.set_ylabel("loss")
