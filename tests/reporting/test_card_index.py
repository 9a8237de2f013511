"""The searchable page of a folder of cards."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from rramfit.card import save_card, seal
from rramfit.errors import OutputError
from rramfit.export.citation import with_citation
from rramfit.measurement.virtual.cards import random_card
from rramfit.reporting.card_index import publish_cards

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def folder(tmp_path):
    """Three cards, one in a subfolder, one with a hostile name; and files that are none."""
    cards = tmp_path / "cards"
    (cards / "lot 1/.hidden").mkdir(parents=True)
    first = with_citation(random_card(1), authors=["Ada"], license="CC-BY-4.0", doi="10.5281/z.1")
    save_card(first, cards / "a.card.json")
    hostile = random_card(2).model_copy(update={"name": "<script>alert(1)</script>"})
    save_card(seal(hostile), cards / 'lot 1/b "x".card.json')
    array = random_card(3).array.model_copy(update={"cell": "1R"})
    save_card(seal(random_card(3).model_copy(update={"array": array})), cards / "c.json")
    save_card(random_card(4), cards / "lot 1/.hidden/d.card.json")
    (cards / "other.json").write_text('{"a": 1}')
    (cards / "broken.card.json").write_text("{")
    return cards


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [v for k, v in attrs if k in ("href", "src") and v]


def test_the_page_and_the_json_have_all_cards(folder, tmp_path):
    site = tmp_path / "site"
    index = publish_cards(folder, site)
    assert [p.name for p in sorted(site.iterdir())] == ["cards.json", "index.html"]
    content = json.loads((site / "cards.json").read_text())
    assert len(content["cards"]) == len(index.cards) == 3
    assert len(content["problems"]) == 1
    assert "broken.card.json" in content["problems"][0]
    for card in content["cards"]:
        assert (site / card["file"]).is_file()
        assert card["citation"]["text"]
    page = (site / "index.html").read_text()
    assert "<script>alert" not in page
    links = Links()
    links.feed(page)
    assert "../cards/lot%201/b%20%22x%22.card.json" in links.found
    assert "https://doi.org/10.5281/z.1" in links.found
    assert links.tags.count("script") == 1
    loads = [x for x in links.found if x.startswith("http") and "doi.org" not in x]
    assert not loads
    before = page
    publish_cards(folder, site)
    assert (site / "index.html").read_text() == before


def test_an_empty_folder_is_an_empty_page(tmp_path):
    (tmp_path / "none").mkdir()
    publish_cards(tmp_path / "none", tmp_path / "none", title="Nothing")
    assert "0 cards" in (tmp_path / "none/index.html").read_text()
    with pytest.raises(OutputError):
        publish_cards(tmp_path / "none", tmp_path / "none/index.html")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_search_selects_cards_in_a_browser(folder, tmp_path):
    publish_cards(folder, tmp_path)
    page = (tmp_path / "index.html").read_text()
    act = (
        "<script>const f = document.querySelector('form.search'); f.q.value = 'ada cc-by';"
        "f.dispatchEvent(new Event('input'));</script></body>"
    )
    (tmp_path / "searched.html").write_text(page.replace("</body>", act))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"file://{tmp_path / 'searched.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    assert "1 of 3 cards" in done.stdout
    items = re.findall(r"<li class=\"\w+\"[^>]*>", done.stdout)
    assert len([x for x in items if "hidden" in x]) == 2
