"""NeuroSim V1.5: files by its rules, its arithmetic repeated, and its tables as cards."""

import csv
import io
import shlex

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, draw_chips
from rramfit.card import load_card, seal, take_levels
from rramfit.card.uncertainty.comparison import compare_cards
from rramfit.errors import InputError
from rramfit.export import ExportError, StatedArray, find_importer
from rramfit.export.networks.neurosim import chosen_levels
from rramfit.measurement.virtual.cards import random_card

ARRAY = StatedArray(rows=64, cols=32)


def states_of(text):
    """The states as V1.5 reads them: by column name, 2^bitcell of them."""
    reader = csv.reader(io.StringIO(text))
    header = next(reader)
    mean, std = header.index("mean"), header.index("std")
    rows = list(reader)
    return np.array([[float(r[mean]), float(r[std])] for r in rows])


def flags_of(path):
    words = shlex.split(path.read_text())
    return {words[i][2:]: words[i + 1] for i in range(0, len(words), 2)}


def test_states_are_those_of_drawn_chips(exported):
    card = random_card(4, levels=4, spatial=False, array=(128, 128))
    folder = exported(card, "neurosim")
    states = states_of((folder / "mem_states.csv").read_text())
    flags = flags_of(folder / "device_flags.txt")
    assert len(states) == 2 ** int(flags["bitcell"]) == 4
    assert flags["mem_states_file"] == "mem_states.csv"
    model = DeviceModel.from_card(card, dtype=torch.float64).without(
        "stuck", "failure", "dead_lines"
    )
    generator = torch.Generator().manual_seed(3)
    chips = draw_chips(model, 6, generator=generator)
    for k in range(4):
        g = chips.program(torch.full((128, 128), k), generator=generator).conductance.numpy()
        assert g.size > 98_000
        assert g.mean() == pytest.approx(states[k, 0], rel=0.01)
        assert g.std() == pytest.approx(states[k, 1], rel=0.015)


@pytest.mark.parametrize(
    ("n", "counts", "codes"),
    [
        (2, "refuse", [0, 1]),
        (4, "refuse", [0, 1, 2, 3]),
        (3, "pad", [0, 1, 2, 2]),
        (5, "pad", [0, 1, 2, 3, 4, 4, 4, 4]),
        (3, "take", [0, 2]),
        (5, "take", [0, 1, 3, 4]),
    ],
)
def test_level_counts(n, counts, codes):
    mean = {5: np.array([0, 3.4, 5.0, 6.5, 10.0])}.get(n, np.arange(n) * 1.0) + 1
    found, said = chosen_levels(mean, counts)
    assert found == codes
    assert bool(said) == (n not in (2, 4))


@pytest.mark.parametrize("n", [3, 5, 6, 31])
def test_other_counts_are_refused_with_both_remedies(n):
    with pytest.raises(ExportError, match=f"the card has {n} levels.*counts=take.*counts=pad"):
        chosen_levels(np.arange(n) * 1.0, "refuse")


def test_one_level_is_refused():
    with pytest.raises(ExportError, match="at least 2"):
        chosen_levels(np.ones(1), "pad")


def ideal(card, levels=4):
    """A card of evenly spaced levels without any variation, wires or failures."""
    from rramfit.card import Quantity

    given = Quantity.given
    changed = [
        x.model_copy(
            update={
                "mean": given((k + 1) * 1e-5, "S"),
                "target": given((k + 1) * 1e-5, "S"),
                "std": given(1e-13, "S"),
                "distribution": None,
            }
        )
        for k, x in enumerate(card.levels[:levels])
    ]
    none = {"variation": [], "failure": [], "stuck": None, "line": None, "iv": None}
    return seal(card.model_copy(update={"levels": changed, "variation_correlation": None, **none}))


def test_outputs_of_ideal_cells_are_the_ideal_outputs(exported):
    folder = exported(ideal(random_card(4, levels=4)), "neurosim", adc=8)
    with (folder / "output_noise.csv").open() as f:
        rows = np.array([[float(x) for x in r.values()] for r in csv.DictReader(f)])
    assert len(rows) == 2**8 + 1
    assert np.array_equal(rows[:, 0], np.arange(257))
    assert np.allclose(rows[:, 1], rows[:, 0], atol=1e-3)
    assert (rows[:, 2] > 0).all()
    assert rows[:, 2].max() < 1e-3


def test_outputs_of_real_cells_spread_as_cells_do(exported):
    """Without wires: the variance of output n is that of its cells, σ²·n/step² in the middle."""
    card = random_card(4, levels=2, spatial=False, failures=False)
    folder = exported(card, "neurosim", adc=6, parallel_read=64, vectors=256)
    states = states_of((folder / "mem_states.csv").read_text())
    with (folder / "output_noise.csv").open() as f:
        rows = np.array([[float(x) for x in r.values()] for r in csv.DictReader(f)])
    step = states[1, 0] - states[0, 0]
    wanted = np.sqrt(16 * (states[1, 1] ** 2 + states[0, 1] ** 2)) / step
    assert rows[16, 2] == pytest.approx(wanted, rel=0.5)
    assert rows[16, 1] == pytest.approx(16, abs=1.0)
    flags = flags_of(folder / "circuit_flags.txt")
    assert flags["output_noise"] == "-1"
    assert "read_noise" not in flags  # it would count twice


def test_a_card_comes_back_as_it_went(exported, tmp_path):
    card = random_card(4, levels=4, spatial=False)
    folder = exported(card, "neurosim")
    read = find_importer("neurosim").read
    back = read(folder / "device_flags.txt", ARRAY)
    assert (back.array.rows, back.array.cols) == (64, 32)
    assert back.quality.verdict == "warning"
    assert "not estimated" in back.quality.summary
    assert {p.name for p in back.provenance.inputs} == {"device_flags.txt", "mem_states.csv"}
    for a, b in zip(card.levels, back.levels, strict=True):
        assert b.mean.value == pytest.approx(a.mean.value, rel=1e-6)
        assert b.mean.stderr is None
    assert back.stuck.low.value == pytest.approx(card.stuck.low.value, rel=1e-5)
    plain = read(folder / "mem_states.csv", ARRAY)
    assert plain.stuck is None
    result = compare_cards(card, back)
    assert any(d.path == "levels[0].mean" for d in result.differences)
    again = exported(back, "neurosim")
    states = [states_of((f / "mem_states.csv").read_text()) for f in (folder, again)]
    assert np.allclose(states[0], states[1], rtol=1e-3)


def test_the_file_of_the_repository_and_plain_flags(tmp_path):
    """With a byte order mark and no spread, as in V1.5 itself; and no table at all."""
    (tmp_path / "mem_states.csv").write_text("\ufeffstates,mean,std\n0,1e-15,0\n1,1e-14,0\n")
    read = find_importer("neurosim").read
    card = read(tmp_path / "mem_states.csv", ARRAY)
    assert [x.mean.value for x in card.levels] == [1e-15, 1e-14]
    (tmp_path / "run.sh").write_text(
        "python inference.py --bitcell 2 \\\n --mem_states_file '' --off_state 1e-6 "
        "--on_state 4e-6 --t 1000 --v 0.01 --detect 1 --target 0.0 --read_noise=0.1\n"
    )
    card = read(tmp_path / "run.sh", ARRAY)
    assert [x.mean.value for x in card.levels] == pytest.approx([1e-6, 2e-6, 3e-6, 4e-6])
    assert card.retention.levels[3].drift.value == pytest.approx(-0.01 * 4e-6)
    assert card.read_noise.coefficient.value == 0.1
    DeviceModel.from_card(card)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("states,std\n0,1\n", "no column mean"),
        ("", "no column mean"),
        ("mean,std\n1e-6,x\n2e-6,0\n", "line 2, std"),
        ("mean,std\n1e-6\n2e-6\n", "line 2, std"),
        ("mean,std\n-1e-6,0\n2e-6,0\n", "line 2, mean"),
        ("mean,std\n1e-6,0\n", "1 states"),
        ("--bitcell 2 --read_noise often", "--read_noise"),
        ("--bitcell 2.5 --on_state 1 --off_state 2", "--bitcell"),
        ("--bitcell 2", "--on_state"),
        ("--mem_states_file nowhere.csv", r"nowhere\.csv"),
        ("--mem_states_file 'nowhere", "No closing quotation"),
    ],
)
def test_wrong_files_are_rejected_with_the_place(text, where, tmp_path):
    path = tmp_path / "states.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=where):
        find_importer("neurosim").read(path, ARRAY)


def test_unusual_tables_are_read_with_findings(tmp_path):
    path = tmp_path / "states.csv"
    path.write_text("mean\n3e-6\n1e-6\n2e-6\n")
    card = find_importer("neurosim").read(path, ARRAY)
    assert [x.mean.value for x in card.levels] == [1e-6, 2e-6, 3e-6]
    assert len(card.quality.fits["import"].findings) == 2


def test_the_padding_of_a_table_is_no_level(tmp_path):
    path = tmp_path / "states.csv"
    path.write_text("mean,std\n" + "1e-6,1e-7\n2e-6,1e-7\n" + "3e-6,1e-7\n" * 2)
    card = find_importer("neurosim").read(path, ARRAY)
    assert [x.mean.value for x in card.levels] == [1e-6, 2e-6, 3e-6]
    found = card.quality.fits["import"].findings
    assert len(found) == 1
    assert "2 times" in str(found[0])
    path.write_text("mean,std\n3e-6,1e-7\n3e-6,1e-7\n")
    assert len(find_importer("neurosim").read(path, ARRAY).levels) == 2


def test_what_neurosim_cannot_have_is_in_the_readme(repo, exported):
    card = load_card(repo / "fits/reference-1.0.0.card.json")
    text = (exported(card, "neurosim", counts="pad", time=1e4) / "README.md").read_text()
    for part in ("code 3 is the highest level again", "Wires have no resistance", "exponents"):
        assert part in text
    two = take_levels(card, [0, 2])
    flags = flags_of(exported(two, "neurosim") / "device_flags.txt")
    assert flags["bitcell"] == "1"
    assert "v" not in flags
