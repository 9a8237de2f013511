"""Authors, licence, DOI and citation text of a card."""

import pytest

from rramfit.card import load_card, save_card
from rramfit.export.citation import bibtex_entry, citation_text, with_citation
from rramfit.measurement.virtual.cards import random_card


def test_a_card_without_citation_is_cited_by_name_and_digest():
    card = random_card(1)
    text = citation_text(card)
    assert text.startswith("Unnamed authors (n.d.). Model card ")
    assert card.digest.removeprefix("sha256:")[:12] in text


def test_fields_become_part_of_the_card(tmp_path):
    card = with_citation(
        random_card(1),
        authors=["Ada B. Lovelace", "G. & Söhne"],
        license="CC-BY-4.0",
        doi="https://doi.org/10.5281/zenodo.1234567",
        title="A 50 % denser array",
        year=2026,
    )
    save_card(card, tmp_path / "a.card.json")
    again = load_card(tmp_path / "a.card.json")
    assert again.citation == card.citation
    assert again.citation.doi == "10.5281/zenodo.1234567"
    assert again.digest != random_card(1).digest
    text = citation_text(again)
    assert text.startswith("Ada B. Lovelace, G. & Söhne (2026). A 50 % denser array, revision ")
    assert text.endswith("https://doi.org/10.5281/zenodo.1234567.")
    entry = bibtex_entry(again)
    assert r"{Ada B. Lovelace} and {G. \& Söhne}" in entry
    assert r"A 50 \% denser array" in entry
    assert entry.count("{") == entry.count("}")
    other = with_citation(again, text="As in the paper.")
    assert citation_text(other) == "As in the paper."
    assert other.citation.license == "CC-BY-4.0"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("doi", "zenodo"),
        ("doi", "10.1/x"),
        ("license", "CC\nBY"),
        ("authors", [""]),
        ("year", 12),
        ("text", "two\nlines"),
    ],
)
def test_wrong_values_name_their_field(field, value):
    with pytest.raises(ValueError, match=field):
        with_citation(random_card(1), **{field: value})
