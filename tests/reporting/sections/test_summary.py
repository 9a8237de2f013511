"""The summary states the numbers of the card."""

from __future__ import annotations

import pytest

from rramfit.card import Quantity
from rramfit.card.quality import Quality, ScreenedCard
from rramfit.card.schema import OffLevelNoise, ReadNoiseCard, StuckCard
from rramfit.fitting.results.result import Finding, Verdict, rank_findings
from rramfit.reporting.page.document import Prose
from rramfit.reporting.page.tables import levels_table
from rramfit.reporting.report_data.report_data import ReportData
from rramfit.reporting.sections.other_groups import read_noise_section
from rramfit.reporting.sections.quality import parameters_section
from rramfit.reporting.sections.summary import summary_blocks


def noise_with_off_level(noise: ReadNoiseCard) -> ReadNoiseCard:
    off = OffLevelNoise(
        n_cells=55,
        coefficient=Quantity.estimated(0.09, 0.009, "1"),
        exponent=Quantity.estimated(-0.5, 0.05, "1"),
        reference_conductance=Quantity.given(20e-6, "S"),
    )
    return noise.model_copy(update={"off_level": off})


def texts(card) -> dict[str, str]:
    found = {
        b.heading: " ".join(b.paragraphs) for b in summary_blocks(card) if isinstance(b, Prose)
    }
    return {k: v.replace("\N{NO-BREAK SPACE}", " ") for k, v in found.items()}


def test_characteristics_problems_and_usability_state_the_numbers_of_the_card(chip):
    found = texts(chip.card)
    characteristics = found["Characteristics"]
    assert "3 levels from 5.000 µS (4.980–5.020) to 90.0 µS (89.6–90.4)" in characteristics
    assert "a ratio of 18.00" in characteristics
    assert "a smooth field accounts for up to 35 % (23–50)" in characteristics
    assert "A cell stores 1.580 bits (1.574–1.586)." in characteristics
    assert "I–V is superlinear: sinh coefficient b = 2.00 V⁻¹ (1.92–2.08)." in characteristics
    problems = found["Problems"]
    assert "3.4 % (2.8–4.1) of the programming attempts fail at L2, the worst level" in problems
    assert "dead columns" in problems
    assert "dead rows" not in problems
    usability = found["Can the card be used?"]
    assert usability.startswith("No. Resolve the severe findings first.")
    assert "50.3 %, 89.7 % and 99 % are inside the predicted 50, 90 and 99 %" in usability


def test_read_noise_of_cells_off_their_level_is_stated(chip):
    card = chip.card.model_copy(update={"read_noise": noise_with_off_level(chip.card.read_noise)})
    what = "In 55 cells that failed or are stuck, read noise is 9.0 % (7.2–10.8)"
    assert f"{what} of the conductance at 20 µS." in texts(card)["Characteristics"]


def test_read_noise_of_cells_off_their_level_has_its_table(chip):
    card = chip.card.model_copy(update={"read_noise": noise_with_off_level(chip.card.read_noise)})
    plain, more = (
        read_noise_section(ReportData(card=x, measurement=chip.measurement)).blocks
        for x in (chip.card, card)
    )
    assert len(more) == len(plain) + 1
    assert "55 cells that are not at their level" in more[-1].caption
    rows = {name: " ".join(cells) for name, *cells in more[-1].rows}
    assert "7.2–10.8" in rows["relative read noise at reference conductance"]
    assert rows["exponent of conductance"].startswith("−0.50 −0.60 to −0.40")


def test_shares_of_the_variance_are_those_of_the_components(chip):
    d2d, c2c, read = 0.75**2, 0.65**2, 0.2**2
    total = d2d + c2c + read
    characteristics = texts(chip.card)["Characteristics"]
    parts = {"cell-to-cell variation": d2d, "cycle-to-cycle variation": c2c, "read noise": read}
    for name, part in parts.items():
        assert f"{100 * part / total:.2g} % {name}" in characteristics


def test_levels_without_an_estimate_are_counted_separately(chip):
    bare = chip.card.levels[1].model_copy(update={"mean": None, "std": None})
    levels = [chip.card.levels[0], bare, chip.card.levels[2]]
    card = chip.card.model_copy(update={"levels": levels})
    assert texts(card)["Characteristics"].startswith("2 of 3 levels from 5.000 µS")


def test_a_healthy_chip_has_no_problems(chip):
    sound = chip.card.model_copy(
        update={
            "failure": [],
            "stuck": StuckCard(low=Quantity.given(0, "1"), high=Quantity.given(0, "1")),
            "quality": Quality(
                verdict="ok",
                summary="All fits can be used.",
                screened=ScreenedCard(cells_used=480),
            ),
        }
    )
    assert texts(sound)["Problems"] == "No problems were found."


def test_a_severe_finding_comes_first(chip):
    fits = {
        "variation": {"verdict": "warning", "findings": ["The cells drift."]},
        "retention": {"verdict": "bad", "findings": ["Half of the cells collapsed."]},
    }
    quality = Quality.model_validate({"verdict": "bad", "summary": "Do not use it.", "fits": fits})
    card = chip.card.model_copy(update={"quality": quality})
    assert texts(card)["Problems"].startswith("Half of the cells collapsed.")
    assert summary_blocks(card)[-1].tone == "bad"


def with_field(chip, p_values, *, share=True):
    """Return the card of `chip` with these p-values of the smooth field at its levels."""
    variation = []
    for v, p in zip(chip.card.variation, p_values, strict=True):
        update = {"p_value": p}
        if not share:
            update["share"] = None
        if p >= 0.05:
            update["correlation_length"] = None
        spatial = v.spatial.model_copy(update=update)
        variation.append(v.model_copy(update={"spatial": spatial}))
    return chip.card.model_copy(update={"variation": variation})


def test_a_smooth_field_is_reported_by_its_p_value_alone(chip):
    def field(p_values, **kw) -> str:
        return texts(with_field(chip, p_values, **kw))["Characteristics"]

    assert "No smooth field over the array was found." in field([0.06, 0.4, 0.9])
    every = field([0.001, 0.001, 0.04], share=False)
    assert "No smooth field" not in every
    assert "Adjacent cells are correlated: a smooth field is part of the variation, with" in every
    some = field([0.2, 0.03, 0.5])
    assert "Adjacent cells are correlated at 1 of 3 levels (L1): a smooth field accounts" in some


def test_one_array_cannot_tell_how_much_arrays_differ(chip):
    usability = texts(chip.card)["Can the card be used?"]
    assert "estimate the process from this one array" in usability
    assert "one array cannot show" in usability


def test_the_deviation_between_arrays_is_shown_where_it_is_known(chip):
    levels = [
        x.model_copy(update={"mean": x.mean.model_copy(update={"between": 57e-9})})
        for x in chip.card.levels
    ]
    card = chip.card.model_copy(update={"levels": levels})
    usability = texts(card)["Can the card be used?"]
    assert "one array cannot show" not in usability
    assert "such as 57 nS for the mean of L0" in usability
    assert "For the other parameters it is not known." in usability
    table = levels_table(card.levels)
    at = [c.name for c in table.columns].index("mean between arrays (std)")
    assert {row[at] for row in table.rows} == {"57\N{NO-BREAK SPACE}nS"}
    at = [c.name for c in table.columns].index("the same between arrays (std)")
    assert {row[at] for row in table.rows} == {"\N{EN DASH}"}
    parameters = parameters_section(card).blocks[0]
    assert parameters.columns[-1].name == "between arrays (std)"
    mean = next(row for row in parameters.rows if row[0] == "levels[1].mean")
    assert mean[-1].startswith("57")


@pytest.mark.parametrize("groups", [(), ("retention",)])
def test_a_card_with_few_parameters_still_has_a_summary(chip_maker, groups):
    card = chip_maker(groups=groups).card
    bare = card.model_copy(
        update={"levels": [], "variation": [], "failure": [], "stuck": None, "bits_per_cell": None}
    )
    assert texts(bare)["Characteristics"]


def test_findings_are_ordered_by_severity_then_by_the_affected_share(chip):
    verdicts = {
        "read_noise": Verdict((Finding("Few reads.", "Read more."),)),
        "screening": Verdict((Finding("Row 3 is dead.", "Check it.", affected=0.04),)),
        "failure": Verdict((Finding("Faults cluster.", "Check it.", affected=0.2),)),
        "retention": Verdict((Finding("The drift fit failed.", "Read more.", severe=True),)),
    }
    ranked = rank_findings(verdicts)
    assert [name for name, _ in ranked] == ["retention", "failure", "screening", "read_noise"]
    problems = next(
        b for b in summary_blocks(chip.card, ranked[1:]) if getattr(b, "heading", "") == "Problems"
    )
    assert problems.paragraphs[0] == "Faults cluster."
    assert problems.paragraphs[-1].startswith("2\xa0more findings are listed")


def test_what_two_fits_found_is_listed_once():
    def collapse(text: str, share: float, cause: str = "collapse in /retention") -> Finding:
        return Finding(text, "Measure again.", severe=True, affected=share, cause=cause)

    verdicts = {
        "diagnostics": Verdict((collapse("49 % fell.", 0.49), collapse("20 % fell.", 0.2))),
        "retention": Verdict((collapse("50 % collapsed.", 0.5),)),
        "read_noise": Verdict((collapse("50 % fell in reads.", 0.5, "collapse in /reads"),)),
        "levels": Verdict((Finding("A.", "B.", affected=0.5), Finding("C.", "D.", affected=0.5))),
    }
    listed = [finding.what for _, finding in rank_findings(verdicts)]
    assert listed == ["50 % collapsed.", "50 % fell in reads.", "20 % fell.", "A.", "C."]
