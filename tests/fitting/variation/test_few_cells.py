"""One to a few cells, written thousands of times: known as far as the writes go."""

import math

import numpy as np
import pytest

from rramfit.array import DeviceModel
from rramfit.fitting.characterization import characterize
from rramfit.fitting.screening.accumulate import accumulate
from rramfit.fitting.variation.few_cells import fit_few_cells
from rramfit.measurement.file.in_memory import program_in_memory
from rramfit.measurement.file.record import ArrayIdentity, Levels, Measurement

CENTRES = np.array([1e-5, 1e-4])


def written(n, *, writes=2000, blind=True, seed=0):
    """n × n cells written low and high in turn."""
    rng = np.random.default_rng(seed)
    level = np.arange(writes) % 2
    y = CENTRES[level][:, None, None] * np.exp(0.1 * rng.standard_normal((writes, n, n)))
    levels = None if blind else Levels(target=CENTRES.copy())
    pattern = None if blind else np.broadcast_to(level[:, None, None], y.shape)
    return Measurement(
        path=None,
        identity=ArrayIdentity(array_id="few", cell="1T1R"),
        rows=n,
        cols=n,
        levels=levels,
        program=program_in_memory(y, read_voltage=0.2, level=pattern, levels=levels),
    )


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("n", [1, 2])
def test_few_cells_give_a_usable_card(n, blind):
    found = characterize(written(n, blind=blind))
    card = found.card
    assert card.quality.verdict == "warning"
    assert [x.mean.value for x in card.levels] == pytest.approx(CENTRES * 1.005, rel=0.02)
    relative = math.sqrt(math.expm1(0.01))
    for k, v in enumerate(card.variation):
        true = relative * CENTRES[k] * math.exp(0.005)
        error = true / math.sqrt(2 * 1000 * n * n)
        assert v.c2c.value == pytest.approx(true, abs=5 * error)
        assert card.levels[k].std.value == pytest.approx(true, abs=5 * error)
        # One cell says nothing about others: no error, and no variation between cells.
        assert (v.c2c.stderr is None) == (n == 1)
        assert (card.levels[k].mean.stderr is None) == (n == 1)
        assert (v.d2d is None) == (n == 1)
    assert any("cell" in f for f in card.quality.fits["variation"].findings)
    model = DeviceModel.from_card(card)
    assert model.n_levels == 2
    assert "c2c" in found.variation.summary()
    assert "level 1 c2c" in found.variation.quantities()


def test_intervals_of_few_cells_hold_the_truth():
    """95 % intervals over 300 sets of 5 cells: 3.8 σ of the binomial."""
    d2d, c2c, cells, cycles = 5e-6, 3e-6, 5, 40
    hits = np.zeros(2)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        own = 80e-6 + d2d * rng.standard_normal((1, 1, cells))
        y = own + c2c * rng.standard_normal((cycles, 1, cells))
        levels = Levels(target=np.array([80e-6]))
        program = program_in_memory(
            y, read_voltage=0.2, level=np.zeros(y.shape, dtype=np.int64), levels=levels
        )
        v = fit_few_cells(accumulate(program, 1), np.ones((1, cells), dtype=bool), 0)
        for i, (q, true) in enumerate(((v.d2d, d2d), (v.c2c, c2c))):
            hits[i] += q.ci95[0] <= true <= q.ci95[1]
    assert (np.abs(hits / 300 - 0.95) < 3.8 * math.sqrt(0.95 * 0.05 / 300)).all(), hits


def test_few_writes_of_few_cells_are_still_too_few():
    card = characterize(written(2, writes=8, blind=False)).card
    assert card.quality.verdict == "bad"
    assert card.variation == []
