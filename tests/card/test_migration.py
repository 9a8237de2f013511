"""Cards of earlier schemas are migrated by neighbouring steps that never touch their input."""

import copy
import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from rramfit.card import SCHEMA_VERSION, canonical_json, card_digest, card_problems, load_card
from rramfit.card import document as documents
from rramfit.card.document import migrated_card
from rramfit.card.schemas import migrate, migration, versions
from rramfit.errors import CardError, RramfitWarning

PUBLISHED = Path(__file__).parent / "published"
SCHEMAS = resources.files("rramfit.card").joinpath("schemas")


def published_versions():
    names = (x.name for x in SCHEMAS.iterdir() if x.name.endswith(".schema.json"))
    return sorted(name.removeprefix("card-").removesuffix(".schema.json") for name in names)


def test_every_published_schema_has_a_golden_card_and_leads_to_the_present():
    assert published_versions() == [
        p.stem.removeprefix("card-") for p in sorted(PUBLISHED.iterdir())
    ]
    for version in published_versions():
        assert list(versions(version))[-1] == SCHEMA_VERSION


@pytest.mark.parametrize("version", published_versions())
def test_a_golden_card_is_valid_in_its_own_schema_and_loads_unchanged(version):
    path = PUBLISHED / f"card-{version}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    schema = json.loads(SCHEMAS.joinpath(f"card-{version}.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema, cls=jsonschema.Draft202012Validator)
    card = load_card(path)
    assert card.schema_version == content["schema_version"] == version
    assert card.digest == content["digest"] == card_digest(content)


@pytest.mark.parametrize("version", published_versions())
def test_migration_does_not_touch_its_input_and_seals_the_result(version, tmp_path):
    path = PUBLISHED / f"card-{version}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    before = copy.deepcopy(content)
    done = migrate(content, to=SCHEMA_VERSION)
    assert content == before
    assert done.content["schema_version"] == SCHEMA_VERSION
    assert done.content is not content
    card, assumed = migrated_card(path)
    assert card.schema_version == SCHEMA_VERSION
    assert assumed == ()
    card.save(tmp_path / "a.card.json")
    assert load_card(tmp_path / "a.card.json") == card
    assert [x.mean for x in card.levels] == [x.mean for x in load_card(path).levels]


@pytest.fixture
def chain(monkeypatch):
    """A chain 1.1 → 2.0 → 2.1 in place of the real one."""
    monkeypatch.setattr(migration, "_STEPS", dict(migration._STEPS))

    @migration.migration("1.1", "2.0")
    def _second(card):
        card["array"]["cell"] = "1R"
        return card, ("2.0 needs the kind of cell; 1R was assumed.",)

    @migration.migration("2.0", "2.1")
    def _third(card):
        return {**card, "name": f"{card['name']} again"}, ()


def test_a_chain_of_steps_says_what_it_assumed(chain):
    content = json.loads((PUBLISHED / "card-1.0.json").read_text(encoding="utf-8"))
    before = copy.deepcopy(content)
    done = migrate(content, to="2.1")
    assert content == before  # although a step changes what it gets
    assert done.content["array"]["cell"] == "1R"
    assert done.content["name"].endswith(" again")
    assert done.assumed == ("2.0 needs the kind of cell; 1R was assumed.",)
    with pytest.raises(LookupError, match=r"from card schema 1\.0 to 3\.0"):
        migrate(content, to="3.0")


def test_a_card_of_an_earlier_major_is_migrated_with_a_warning(chain, monkeypatch):
    monkeypatch.setattr(documents, "SCHEMA_VERSION", "2.1")
    path = PUBLISHED / "card-1.0.json"
    with pytest.warns(RramfitWarning, match="1R was assumed"):
        card = load_card(path)
    assert card.array.cell == "1R"
    assert card.schema_version == "2.1"


def test_an_earlier_major_without_a_way_is_an_error(monkeypatch):
    monkeypatch.setattr(documents, "SCHEMA_VERSION", "2.0")
    with pytest.raises(CardError, match=r"No migration leads from card schema 1\.0 to 2\.0"):
        load_card(PUBLISHED / "card-1.0.json")


@pytest.mark.parametrize("version", ["2.0", "17.3"])
def test_a_newer_major_is_refused_and_names_the_version_it_needs(version, tmp_path):
    content = json.loads((PUBLISHED / "card-1.0.json").read_text(encoding="utf-8"))
    content["schema_version"] = version
    content["digest"] = card_digest(content)
    path = tmp_path / "a.card.json"
    path.write_text(canonical_json(content))
    (problem,) = card_problems(path)
    major = version.split(".")[0]
    assert problem.where == "schema_version"
    assert f"A release that reads card schema {major}.x is needed" in str(problem)
    assert f"reads cards up to schema {SCHEMA_VERSION}" in str(problem)


@pytest.mark.parametrize("version", ["", "1", "one.two", "1.0.0", "-1.0", "1.x"])
def test_a_version_that_is_none_is_one_problem(version, tmp_path):
    path = tmp_path / "a.card.json"
    path.write_text(json.dumps({"schema_version": version}))
    with pytest.raises(CardError, match="schema_version"):
        load_card(path)
