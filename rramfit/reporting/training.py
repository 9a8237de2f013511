"""Report of a training run: learning curves, and the accuracy of each network on chips.

Nothing is computed here: the history comes from `rramfit.training`, the accuracies from
`rramfit.mapping`.
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
from rramfit.reporting.sections.conditions import condition_sections
from rramfit.units import round_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rramfit.mapping.study.conditions import Conditions
    from rramfit.mapping.study.evaluation import Evaluation
    from rramfit.mapping.study.scores.metrics import Measure
    from rramfit.mapping.tiles.setup import AnalogSetup
    from rramfit.training.loop.history import Epoch

__all__ = ["training_report"]

Found = Mapping[str, "tuple[float, Evaluation | None]"]
"""Digital accuracy of each network, and its evaluation on chips if there is one."""


def training_report(
    network: str,
    setup: AnalogSetup,
    data: str,
    *,
    recipe: str,
    history: Sequence[Epoch],
    found: Found,
    measure: Measure,
    conditions: Conditions | None = None,
) -> Report:
    """Report the epochs of a training run, and the accuracy of its networks on chips."""
    unit, of = (" [%]" if measure.share else ""), measure
    worst = "5th" if of.better == "higher" else "95th"
    curves = (
        figure(
            partial(_draw_accuracy, history, of),
            key="accuracy",
            title=f"{of.title} by epoch",
            caption=f"{of.title} of the averaged weights on test images (in hardware-aware stages, "
            "on newly drawn cells), and on augmented training images. Lines separate the stages.",
        ),
        figure(
            partial(_draw_loss, history),
            key="loss",
            title="Loss by epoch",
            caption="Mean over the images of an epoch, including the teacher's term if there is "
            "one.",
        ),
    )
    epochs = Table(
        caption="Epochs",
        columns=(
            Column("stage", numeric=False),
            *(
                Column(n)
                for n in ("epoch", "loss", f"training{unit}", f"test{unit}", "rate", "time [s]")
            ),
        ),
        rows=tuple(
            (
                e.stage,
                str(e.epoch),
                f"{e.loss:.4f}",
                of.number(e.train_accuracy),
                of.number(e.test_accuracy),
                f"{e.rate:.3g}",
                f"{e.seconds:.0f}",
            )
            for e in history
        ),
        folded=len(history) > 12,
    )
    networks = Table(
        caption=f"{of.title}{unit}; mean over chips with its 95 % interval",
        columns=(
            Column("network", numeric=False),
            *(
                Column(n)
                for n in ("digital", "mean", "low", "high", "std", f"{worst} percentile", "chips")
            ),
        ),
        rows=tuple(_row(name, digital, on, of) for name, (digital, on) in found.items()),
    )
    items = [
        KeyFigure(label=f"{name}, digital", value=of.text(digital))
        for name, (digital, _) in found.items()
    ]
    items += [
        KeyFigure(
            label=f"{name}, mean over chips",
            value=of.text(on.mean.value),
            detail=f"± {of.number(on.deviation.value)} between chips",
        )
        for name, (_, on) in found.items()
        if on is not None
    ]
    return Report(
        title=f"Training of {network}",
        subtitle=f"Recipe {recipe}",
        facts=(("data", data), *setup_facts(setup)),
        lead=(KeyFigures(items=tuple(items)),),
        sections=(
            Section(key="networks", title="Networks", blocks=(networks,)),
            Section(key="epochs", title="Epochs", blocks=(*curves, epochs)),
            *(() if conditions is None else condition_sections(conditions)),
            *assumption_sections(setup),
        ),
        footer=f"Made by rramfit {package_version()}.",
    )


def _row(name: str, digital: float, on: Evaluation | None, of: Measure) -> tuple[str, ...]:
    if on is None:
        return (name, of.number(digital), *[""] * 6)
    mean: tuple[str, ...] = tuple(map(of.number, (on.mean.value, on.mean.low, on.mean.high)))
    if of.share:
        e = round_estimate(on.mean.value, (on.mean.low, on.mean.high), "1", percent=True)
        mean = (e.value, e.low, e.high)
    worst = on.percentile5 if of.better == "higher" else on.percentile95
    others = (of.number(x.value) for x in (on.deviation, worst))
    return (name, of.number(digital), *mean, *others, str(on.chips))


def _separate_stages(history: Sequence[Epoch], ax: Axes) -> None:
    for i in range(1, len(history)):
        if history[i].stage != history[i - 1].stage:
            ax.axvline(i + 0.5, color=INK, linewidth=0.7)
    ax.set_xlabel("epoch")


def _draw_accuracy(history: Sequence[Epoch], of: Measure, ax: Axes) -> None:
    scale = 100 if of.share else 1
    at = range(1, len(history) + 1)
    for label, color, values in (
        ("test", SERIES[0], [e.test_accuracy for e in history]),
        ("training", SERIES[1], [e.train_accuracy for e in history]),
    ):
        ax.plot(at, [scale * v for v in values], color=color, linewidth=1.4, label=label)
    _separate_stages(history, ax)
    ax.set_ylabel(of.name + (" [%]" if of.share else ""))
    ax.legend(loc="lower right")


def _draw_loss(history: Sequence[Epoch], ax: Axes) -> None:
    ax.plot(range(1, len(history) + 1), [e.loss for e in history], color=SERIES[0], linewidth=1.4)
    _separate_stages(history, ax)
    ax.set_ylabel("loss")
