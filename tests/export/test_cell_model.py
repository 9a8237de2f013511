"""The stand-alone module that draws cells: its statistics and its wires are those of rramfit."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, LineResistance, draw_chips, effective_matrix
from rramfit.card import load_card
from rramfit.card.quantity import Quantity
from rramfit.card.schema import LineOffsets
from rramfit.export.contract import ExportError
from rramfit.export.networks.cell_model import CELLS_MODULE, CELLS_NUMBERS, card_numbers, cell_files

CHIPS, SHAPE = 12, (96, 90)  # 1.04e5 cells


@pytest.fixture(scope="module")
def card(repo):
    return load_card(repo / "fits/reference-1.0.0.card.json")


def module_of(folder, card):
    for name, text in cell_files(card).items():
        (folder / name).write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("rram_cells_of_test", folder / CELLS_MODULE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.Numbers()


@pytest.fixture(scope="module")
def cells(tmp_path_factory, card):
    return module_of(tmp_path_factory.mktemp("cells"), card)


def drawn(module, numbers, level, time=0.0):
    """Healthy cells of many arrays: their states, flat."""
    rng = np.random.default_rng(5)
    found, faults, failed = [], [], []
    for _ in range(CHIPS):
        array = module.Cells(numbers, *SHAPE, rng)
        g, follows, off = array.program(np.full(SHAPE, level))
        found.append(array.aged(g, follows, time)[~off])
        faults.append(array.fault)
        failed.append(off & (array.fault == module.OK))
    return np.concatenate(found), np.stack(faults), np.stack(failed)


def ours(card, level, time=0.0):
    model, generator = (
        DeviceModel.from_card(card).without("field"),
        torch.Generator().manual_seed(7),
    )
    chips = draw_chips(model, CHIPS, shape=SHAPE, generator=generator)
    state = chips.program(torch.full(SHAPE, level), generator=generator)
    healthy = state.ages & state.accepted
    return state.age(time, generator).conductance[healthy].double().numpy()


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("time", [0.0, 3e4])
def test_states_have_the_moments_and_quantiles_of_our_chips(tmp_path, card, level, time):
    """Without the smooth field, so that 10⁵ cells are independent; it is tested below."""
    module, numbers = module_of(tmp_path, card)
    numbers.field_share = np.zeros(3)
    g, reference = drawn(module, numbers, level, time)[0], ours(card, level, time)
    assert g.mean() == pytest.approx(reference.mean(), rel=0.01)
    assert g.std() == pytest.approx(reference.std(), rel=0.01)
    at = [0.01, 0.1, 0.5, 0.9, 0.99]
    assert np.quantile(g, at) == pytest.approx(np.quantile(reference, at), rel=0.015)


def test_faults_have_the_shares_of_the_card(cells, card):
    module, numbers = cells
    _, fault, failed = drawn(module, numbers, 2)
    live = fault != module.DEAD
    dead_cells = 1 - (1 - card.stuck.dead_rows.value) * (1 - card.stuck.dead_cols.value)
    assert (~live).mean() == pytest.approx(dead_cells, abs=0.012)  # 2232 lines
    for code, q in ((module.STUCK_LOW, card.stuck.low), (module.STUCK_HIGH, card.stuck.high)):
        error = np.sqrt(q.value / live.sum())
        assert (fault[live] == code).mean() == pytest.approx(q.value, abs=4 * error)
    hard, soft = card.failure[2].hard.value, card.failure[2].soft.value
    error = np.sqrt((hard + soft) / live.sum())
    assert failed[live].mean() == pytest.approx(hard + soft, abs=4 * error)


def test_a_cell_keeps_its_part_of_the_deviation(cells, card):
    """The covariance of two programmings of the same cells is the d2d variance."""
    module, numbers = cells
    rng = np.random.default_rng(1)
    pairs = []
    for _ in range(CHIPS):
        array = module.Cells(numbers, *SHAPE, rng)
        (a, _, x), (b, _, y) = (array.program(np.full(SHAPE, 1)) for _ in range(2))
        pairs.append(np.stack([a, b])[:, ~(x | y)])
    covariance = np.cov(np.concatenate(pairs, axis=1))
    assert np.sqrt(covariance[0, 1]) == pytest.approx(card.variation[1].d2d.value, rel=0.03)


def test_neighbours_share_the_smooth_field(cells, card):
    module, numbers = cells
    rng = np.random.default_rng(4)
    products = []
    for _ in range(40):
        d = module.Cells(numbers, 64, 64, rng).deviation[1]
        products.append((d[:, :-5] * d[:, 5:]).mean())
    share, length = numbers.field_share[1], numbers.lengths[1]
    assert np.mean(products) == pytest.approx(share * np.exp(-((5 / length) ** 2)), rel=0.1)


def test_line_offsets_are_drawn(tmp_path, card):
    lines = [LineOffsets(axis="col", period=1, std=Quantity.given(6e-6, "S"))]
    varied = [v.model_copy(update={"lines": lines}) if v.level == 1 else v for v in card.variation]
    module, numbers = module_of(tmp_path, card.model_copy(update={"variation": varied}))
    rng = np.random.default_rng(2)
    means = []
    for _ in range(60):
        array = module.Cells(numbers, 200, 12, rng)
        g, _, off = array.program(np.full((200, 12), 1))
        means += list(np.ma.masked_array(g, off).mean(axis=0).compressed())
    field = card.variation[1].spatial  # also varies from column to column
    smooth = field.share.value * card.variation[1].d2d.value ** 2
    averaged = smooth * np.sqrt(np.pi) * field.correlation_length.value / 200
    rest = card.levels[1].std.value ** 2 / 200
    assert np.var(means) == pytest.approx(6e-6**2 + averaged + rest, rel=0.2)


@pytest.mark.parametrize(
    "wires",
    [
        {"row": 0.5, "col": 0.7, "driver": 8.0, "sense": 6.0},
        {"row": 2.0, "col": 0.0, "driver": 0.0, "sense": 100.0},
        {"row": 0.0, "col": 0.0, "driver": 0.0, "sense": 0.0},
    ],
)
def test_the_effective_matrix_is_ours(cells, wires):
    module, _ = cells
    g = np.random.default_rng(3).uniform(2e-5, 2e-4, (37, 23))
    g[4], g[:, 7] = 0.0, 0.0
    line = LineResistance(
        r_wl=wires["row"], r_bl=wires["col"], r_driver=wires["driver"], r_sense=wires["sense"]
    )
    expected = effective_matrix(torch.tensor(g), line).numpy()
    assert module.effective_matrix(g, wires) == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_read_noise_is_ours(cells, card):
    _, numbers = cells
    model = DeviceModel.from_card(card, dtype=torch.float64)
    g = torch.tensor([1e-6, 3e-5, 9e-5, 3e-4], dtype=torch.float64)
    level, off = torch.tensor([0, 0, 1, 2]), torch.tensor([True, False, False, True])
    expected = model.read_noise.std(g, level, off).numpy()
    found = numbers.read_std(g.numpy(), level.numpy(), off.numpy())
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_iv_curve_is_ours(cells, card):
    _, numbers = cells
    model = DeviceModel.from_card(card, dtype=torch.float64)
    chips = draw_chips(model, 1, shape=(2, 2), generator=torch.Generator())
    g = torch.tensor([[[2e-6, 3e-5], [9e-5, 3e-4]]], dtype=torch.float64)
    g0, b = type(chips)(
        **{n: getattr(chips, n) for n in chips.__slots__ if n != "nonlinearity"}, nonlinearity=None
    ).conduction(g)
    found = numbers.slope_at_zero(g.numpy())
    assert found[0] == pytest.approx(g0.numpy(), rel=1e-9)
    assert found[1] == pytest.approx(b.numpy(), rel=1e-9)


def test_the_module_needs_nothing_of_rramfit(repo):
    for path in (repo / "rramfit/export/networks").glob("*/files/*.py"):
        assert "rramfit" not in [
            line.split()[1].partition(".")[0]
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith(("import ", "from "))
        ], path


def test_numbers_are_plain_json(card):
    text = cell_files(card)[CELLS_NUMBERS]
    assert json.loads(text) == card_numbers(card)
    assert "NaN" not in text
    assert "Infinity" not in text


def test_levels_that_do_not_rise_are_refused(card):
    one = card.model_copy(update={"levels": card.levels[:1], "variation_correlation": None})
    with pytest.raises(ExportError, match=r"at least two, positive and rising"):
        cell_files(one)
    with pytest.raises(ExportError, match="level means of none uS"):
        cell_files(card.model_copy(update={"levels": []}))


def test_every_card_of_the_repository_is_taken(repo, tmp_path):
    for path in sorted((repo / "fits").glob("*.card.json")):
        card = load_card(path)
        if len(card.levels) < 2:
            continue
        module, numbers = module_of(tmp_path, card)
        array = module.Cells(numbers, 16, 16, np.random.default_rng(0))
        g, follows, off = array.program(np.full((16, 16), len(numbers.mean) - 1))
        assert np.isfinite(array.read(array.aged(g, follows, 1e5), follows, off)).all(), path.name
