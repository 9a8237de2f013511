"""A card has one canonical form and the digest of its content; invalid cards raise errors."""

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from rramfit.card import (
    ModelCard,
    Quantity,
    canonical_json,
    card_digest,
    card_problems,
    json_schema,
    load_card,
    quantities,
    save_card,
    seal,
)
from rramfit.card.quality import InputFile, Provenance, Quality
from rramfit.card.schema import ArrayInfo, Domain, LevelCard
from rramfit.errors import CardError, RramfitWarning


@pytest.fixture
def card() -> ModelCard:
    return seal(
        ModelCard(
            name="test",
            digest="sha256:" + "0" * 64,
            array=ArrayInfo(id="a", rows=4, cols=4, cell="1T1R"),
            levels=[
                LevelCard(
                    index=0,
                    name="L0",
                    target=Quantity.given(50e-6, "S"),
                    n_cells=16,
                    n_observations=16,
                    mean=Quantity.estimated(50.1e-6, 0.2e-6, "S"),
                )
            ],
            domain=Domain(rows=4, cols=4),
            quality=Quality(verdict="ok", summary="good"),
            provenance=Provenance(
                inputs=[InputFile(name="a.h5", sha256="0" * 64)],
                rramfit_version="0",
                seed=0,
                time="2026-01-01T00:00:00Z",
                time_source="SOURCE_DATE_EPOCH",
            ),
        )
    )


def test_round_trip(card, tmp_path):
    save_card(card, tmp_path / "a.card.json")
    assert load_card(tmp_path / "a.card.json") == card
    assert [p.name for p in tmp_path.iterdir()] == ["a.card.json"]


def test_digest_covers_content_but_not_provenance(card):
    later = card.provenance.model_copy(update={"time": "2027-01-01T00:00:00Z"})
    assert seal(card.model_copy(update={"provenance": later})).digest == card.digest
    assert seal(card.model_copy(update={"name": "other"})).digest != card.digest


def test_absent_fields_are_omitted_and_given_quantities_keep_nulls(card, tmp_path):
    save_card(card, tmp_path / "a.card.json")
    content = json.loads((tmp_path / "a.card.json").read_text())
    assert "line" not in content
    assert content["levels"][0]["target"]["stderr"] is None
    assert content["levels"][0]["target"]["ci95"] is None


def test_a_changed_card_raises_an_error(card, tmp_path):
    path = tmp_path / "a.card.json"
    save_card(card, path)
    path.write_text(path.read_text().replace('"name": "test"', '"name": "best"'))
    with pytest.raises(CardError, match="digest: found sha256:") as e:
        load_card(path)
    assert "seal it" in str(e.value)


def test_an_unsealed_card_is_not_written(card, tmp_path):
    with pytest.raises(CardError, match="digest"):
        save_card(card.model_copy(update={"name": "other"}), tmp_path / "a.card.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "file"),
        ("[]", "file"),
        ('{"schema_version": "2.0"}', "schema_version"),
        ('{"schema_version": "1.0", "name": NaN}', "file"),
        ('{"schema_version": "1.0"}', "name"),
    ],
)
def test_invalid_files_raise_an_error_with_the_key_path(text, where, tmp_path):
    path = tmp_path / "bad.card.json"
    path.write_text(text)
    assert where in [p.where for p in card_problems(path)]
    with pytest.raises(CardError):
        load_card(path)


def test_a_newer_minor_version_is_read_with_a_warning(card, tmp_path):
    path = tmp_path / "a.card.json"
    save_card(card, path)
    content = json.loads(path.read_text())
    content |= {"schema_version": "1.7", "colour": "blue"}
    content["digest"] = card_digest(content)
    path.write_text(canonical_json(content))
    with pytest.warns(RramfitWarning, match="ignored fields: colour"):
        assert load_card(path).name == "test"


def test_an_unknown_field_of_the_same_version_is_an_error(card, tmp_path):
    path = tmp_path / "a.card.json"
    save_card(card, path)
    content = json.loads(path.read_text()) | {"colour": "blue"}
    content["digest"] = card_digest(content)
    path.write_text(canonical_json(content))
    with pytest.raises(CardError, match="colour"):
        load_card(path)


def test_the_committed_schema_matches_the_models():
    committed = resources.files("rramfit.card").joinpath("schemas/card-1.1.schema.json")
    assert committed.read_text(encoding="utf-8") == canonical_json(json_schema())


def test_cards_validate_against_the_json_schema(card, tmp_path):
    save_card(card, tmp_path / "a.card.json")
    content = json.loads((tmp_path / "a.card.json").read_text())
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(content, json_schema(), cls=jsonschema.Draft202012Validator)
    content["levels"][0]["mean"]["unit"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json_schema(), cls=jsonschema.Draft202012Validator)


def test_quantities_are_listed_with_their_key_path(card):
    assert [path for path, _ in quantities(card)] == ["levels[0].target", "levels[0].mean"]


def test_save_frame_and_html_of_a_card(card, tmp_path):
    card.save(tmp_path / "a.card.json")
    assert load_card(tmp_path / "a.card.json") == card
    assert list(card.to_frame().index) == [path for path, _ in quantities(card)]
    assert "levels[0].mean" in card._repr_html_()


@pytest.mark.parametrize("published", sorted((Path(__file__).parent / "published").iterdir()))
def test_a_card_of_every_published_schema_still_loads(published):
    assert load_card(published).levels
