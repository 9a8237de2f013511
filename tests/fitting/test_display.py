"""What Jupyter shows: quantities with prefixed units, plots as pictures, the verdict on top."""

import pytest

from rramfit import compare_cards
from rramfit.card import Quantity
from rramfit.fitting.characterization import characterize
from rramfit.fitting.results.axes import axes_or_new
from rramfit.measurement import synthesize
from rramfit.measurement.examples import sample_card


def test_a_quantity_is_rounded_with_its_prefix():
    g = Quantity.estimated(83.2e-6, 0.4e-6, "S").model_copy(update={"between": 1e-6, "trend": None})
    assert str(g) == "83.2 uS (82.4\N{EN DASH}84.0)"
    assert g._repr_html_() == (
        "value 83.2 uS; 95 % interval 82.4\N{EN DASH}84.0; between arrays 1 uS"
    )
    assert Quantity.given(5e3, "ohm")._repr_html_() == "value 5 kohm"


def test_new_axes_show_their_figure():
    assert axes_or_new()._repr_png_().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def fitted():
    groups = ("program", "reads", "retention", "iv")
    return characterize(
        synthesize(sample_card(), rows=24, cols=24, sweeps=9, seed=0, groups=groups)
    )


def test_a_characterization_shows_its_verdict_first(fitted):
    page = fitted._repr_html_()
    assert page.startswith(f"<p><b>{fitted.card.name}: {fitted.card.quality.verdict}.")
    assert " uS</td>" in page
    assert "e-0" not in fitted.levels._repr_html_()


def test_every_plot_is_a_picture(fitted):
    plots = [fit.plot() for fit in fitted.results().values() if hasattr(fit, "plot")]
    assert len(plots) > 5
    assert all(ax._repr_png_().startswith(b"\x89PNG") for ax in plots)


def test_a_measurement_shows_its_groups():
    groups = ("program", "iv", "mvm", "readout")
    page = synthesize(sample_card(), rows=16, cols=8, sweeps=3, groups=groups)._repr_html_()
    assert "16 × 8 cells, 1T1R" in page
    assert "<td>3 × 16 × 8</td>" in page
    assert all(f"<th>/{group}</th>" in page for group in (*groups, "levels"))


def test_a_comparison_shows_both_values():
    page = compare_cards(sample_card(), sample_card())._repr_html_()
    assert page.startswith("<p><b>0 of ")
    assert " uS</td>" in page
