"""DNN+NeuroSim V1.5: memory states, output noise and flags of `inference.py`.

Read from its branch 2DInferenceV1.5-dev:

- `mem_states.csv` has the columns states, mean, std; 2^bitcell rows in order of rising code. A cell
  is drawn once, normal with these numbers: std is that of the state, d2d and c2c together.
- The converter has the step of states 1 and 0 and takes all states as evenly spaced.
- `--read_noise` is relative, one for all states, and drawn at every read.
- `output_noise.csv` (`--output_noise -1`) has the columns output, mean, std for the outputs 0 to
  2^adc_precision: what the converter gives instead of each ideal output. It replaces the states,
  so a run takes either the device flags or the circuit flags.
- Retention multiplies a state by t^±v; t is taken relative to the card's reference time.

Level counts that are no power of two are refused, padded with the highest level, or reduced to the
most evenly spaced selection.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rramfit.export.card_values import value_of
from rramfit.export.contract import Export, Exporter, ExportError, Limit, Option
from rramfit.export.drawn import read_voltage
from rramfit.export.level_statistics import level_statistics
from rramfit.export.limits import limits
from rramfit.export.networks.output_noise import output_noise

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["EXPORTER", "chosen_levels"]

Floats = NDArray[np.float64]

_DEVICE = frozenset({"spacing", "d2d", "c2c", "read", "stuck", "retention"})
_MOST_SELECTIONS = 200_000


def chosen_levels(mean: Floats, counts: str) -> tuple[list[int], str]:
    """Return the level of every code of a cell, a power of two of them, and what was done.

    Parameters
    ----------
    mean : (level,) array
        [S], rising.
    counts : {"refuse", "pad", "take"}
        What to do if the number of levels is no power of two.

    Raises
    ------
    ExportError
        If it is refused, or there are fewer than two levels.
    """
    n = len(mean)
    if n < 2:
        msg = f"NeuroSim needs at least 2 levels; found {n} in the card"
        raise ExportError(msg)
    below, above = 1 << (n.bit_length() - 1), 1 << (n - 1).bit_length()
    if below == n:
        return list(range(n)), ""
    if counts == "refuse":
        msg = (
            f"the card has {n} levels and a cell of NeuroSim 2^bitcell. Add `--option "
            f"counts=take` for the {below} most evenly spaced levels, or `--option counts=pad` "
            f"for {above} codes, the last of which repeat the highest level."
        )
        raise ExportError(msg)
    if counts == "pad":
        last = f"code {n} is" if above == n + 1 else f"codes {n} to {above - 1} are"
        said = f"{n} levels are padded to {above} codes: {last} the highest level again"
        return [min(k, n - 1) for k in range(above)], said
    return _most_even(mean, below), f"{below} of {n} levels are used, the most evenly spaced"


def _most_even(mean: Floats, count: int) -> list[int]:
    """Return the levels, first and last included, that are closest to even spacing."""
    even = np.linspace(mean[0], mean[-1], count)
    inner = range(1, len(mean) - 1)
    if math.comb(len(inner), count - 2) > _MOST_SELECTIONS:
        at = [0, *(1 + int(np.abs(mean[1:-1] - x).argmin()) for x in even[1:-1]), len(mean) - 1]
        if len(set(at)) == count:
            return at
    selections = itertools.islice(itertools.combinations(inner, count - 2), _MOST_SELECTIONS)
    tried = [(0, *s, len(mean) - 1) for s in selections]
    errors = [float(np.abs(mean[list(s)] - even).max()) for s in tried]
    return list(tried[int(np.argmin(errors))])


def _csv(header: str, rows: Sequence[tuple[float, ...]]) -> str:
    return "\n".join([header, *(",".join(f"{x:.10g}" for x in row) for row in rows)]) + "\n"


def _drift(card: ModelCard, time: float) -> tuple[float, float, Floats]:
    """Return t over the reference time, v, and the direction of each level's change."""
    kept = card.retention
    if kept is None or time <= kept.reference_time.value:
        return 1.0, 0.0, np.zeros(0)
    means = {x.index: x.mean.value for x in card.levels if x.mean is not None}
    rates = np.array(
        [d.drift.value / means[d.level] for d in kept.levels if d.drift and means.get(d.level)]
    )
    if not len(rates):
        return 1.0, 0.0, rates
    return time / kept.reference_time.value, float(np.abs(rates).mean()), rates


def _stuck(card: ModelCard) -> tuple[float, float]:
    return value_of(card.stuck, "low"), value_of(card.stuck, "high")


def _approximated(
    card: ModelCard, levels: list[int], said: str, read: Floats, rates: Floats
) -> tuple[Limit, ...]:
    s = level_statistics(card)
    mean = s.mean[levels]
    even = mean[0] + np.arange(len(mean)) * (mean[1] - mean[0])
    found = [
        Limit(
            what="Its converter takes all states as spaced like the first two.",
            size=f"a state is up to {np.abs(mean - even).max() / (mean[1] - mean[0]):.2g} steps "
            "away from that",
        )
    ]
    if said:
        found.append(
            Limit(what=f"{said}.".capitalize(), size=f"{len(s.mean)} levels, {len(levels)} codes")
        )
    if read.max() > 0:
        found.append(
            Limit(
                what="The relative read noise is one for all states, the root mean square.",
                size=f"{100 * read.min():.2g} % to {100 * read.max():.2g} % over the levels",
            )
        )
    if len(rates):
        found.append(
            Limit(
                what="Retention is a power of time with one exponent and no growth of the spread.",
                size=f"exponents {rates.min():.2g} to {rates.max():.2g} over the levels",
            )
        )
    low, high = _stuck(card)
    if low > 0:
        total = low + high
        found.append(
            Limit(
                what="The code of V1.5 multiplies the share stuck at 0 with the total share "
                "again, and counts the rest as stuck at 1 if that rate is not 0.",
                size=f"{100 * total * low:.2g} % instead of {100 * low:.2g} % at 0",
            )
        )
    return tuple(found)


def _export(card: ModelCard, options: Mapping[str, Any]) -> Export:
    s = level_statistics(card)
    zero = 1e-9 * s.mean.max()  # [S] rounding of a level at 0 S
    if not (np.diff(s.mean) > 0).all() or s.mean[0] < -zero:
        msg = (
            "NeuroSim takes states in order of rising conductance, from 0 S; the level means of "
            "the card do not rise, or start below. Select levels with `rramfit card take`."
        )
        raise ExportError(msg)
    levels, said = chosen_levels(s.mean, options["counts"])
    bits, adc, rows = len(levels).bit_length() - 1, options["adc"], options["parallel_read"]
    mean, read = s.mean[levels], s.read[levels]
    # a relative noise leaves a state at 0 S without any
    read = np.divide(read, mean, out=np.zeros_like(mean), where=mean > zero)
    states = [(k, *x) for k, x in enumerate(zip(mean.clip(0), s.state_std[levels], strict=True))]
    noise = output_noise(
        card, levels, adc=adc, rows=rows, vectors=options["vectors"], seed=options["seed"]
    )
    ratio, exponent, rates = _drift(card, options["time"])
    relative = float(np.sqrt((read**2).mean()))
    low, high = _stuck(card)
    size = f'"[{rows},{card.array.cols}]"'
    common = [
        "--hardware 1",
        f"--bitcell {bits}",
        "--mem_type resistive",
        "--mem_states_file mem_states.csv",
        f"--sub_array {size}",
        f"--parallel_read {rows}",
        f"--adc_precision {adc}",
        f"--vdd {read_voltage(card):.6g}",
    ]
    device = [
        *common,
        f"--read_noise {relative:.6g}",
        f"--rate_stuck_0 {low:.6g}",
        f"--rate_stuck_1 {high:.6g}",
    ]
    if exponent > 0:
        target = 0.0 if rates.mean() < 0 else 1.0
        device += [f"--t {ratio:.6g}", f"--v {exponent:.6g}", "--detect 1", f"--target {target:g}"]
    circuit = [*common, "--output_noise -1", "--output_noise_file output_noise.csv"]
    return Export(
        files={
            "mem_states.csv": _csv("states,mean,std", states),
            "output_noise.csv": _csv(
                "output,mean,std", [(k, *x) for k, x in enumerate(noise.tolist())]
            ),
            "device_flags.txt": " ".join(device) + "\n",
            "circuit_flags.txt": " ".join(circuit) + "\n",
        },
        commands=(
            "cp mem_states.csv output_noise.csv $NEUROSIM && export FLAGS=$PWD/device_flags.txt",
            (
                "(cd $NEUROSIM && eval python inference.py --dataset cifar10 --model vgg8 $(cat "
                "$FLAGS))"
            ),
        ),
        approximated=_approximated(card, levels, said, read, rates),
        missing=limits(card, expressed=_DEVICE),
        notes=(
            (
                "Set NEUROSIM to a checkout of github.com/neurosim/NeuroSim, branch "
                "2DInferenceV1.5-dev; it needs a CUDA device."
            ),
            (
                "`device_flags.txt` simulates cells; `circuit_flags.txt` takes outputs with "
                "wires, nonlinear levels and cells together. Do not combine them: noise would "
                "count twice."
            ),
            (
                "`mean` and `std` are in siemens; in `output_noise.csv` all numbers are converter "
                "codes, of quadratic fits to simulated column currents."
            ),
        ),
    )


EXPORTER = Exporter(
    name="neurosim",
    title="NeuroSim V1.5",
    writes="`mem_states.csv` has mean and standard deviation of every state, `output_noise.csv` "
    "those of every converter output; the flags of `inference.py` are in two text files.",
    cannot="States are normal, independent cells without places; it has no wires except in "
    "`output_noise.csv`, and no failures of programming.",
    verified="The tests read the files by the rules of V1.5 and repeat its arithmetic: means "
    "of states within 1 % of drawn chips, standard deviations within 1.5 %, and the outputs of "
    "ideal cells. NeuroSim itself was not run.",
    export=_export,
    options=(
        Option(
            name="counts",
            kind=str,
            default="refuse",
            meaning="what to do if the number of levels is no power of two",
            choices=("refuse", "pad", "take"),
        ),
        Option(name="adc", kind=int, default=7, meaning="bits of the converter", least=1),
        Option(name="parallel_read", kind=int, default=128, meaning="rows read at once", least=1),
        Option(name="vectors", kind=int, default=64, meaning="simulated inputs a chip", least=8),
        Option(name="seed", kind=int, default=0, meaning="seed of simulated chips", least=0),
        Option(name="time", kind=float, default=0.0, meaning="age of the states [s]", least=0.0),
    ),
)
