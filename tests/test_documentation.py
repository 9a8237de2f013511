"""The documentation site: strict, complete links, no network, readable on a phone, searchable.

Notebooks are not executed here; `make docs` does.
"""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

PROBE = """<!doctype html><body style="margin:0">FRAMES<pre id="out"></pre>
<script>onload = () => {
  const wide = [...document.querySelectorAll("iframe")].filter(frame => {
    const root = frame.contentDocument.documentElement;
    return root.clientWidth !== 390 || root.scrollWidth !== 390;
  });
  document.getElementById("out").textContent = JSON.stringify(wide.map(f => f.dataset.page));
};</script>"""
FRAME = '<iframe data-page="{0}" src="{0}" style="border:0;width:390px;height:900px"></iframe>'


@pytest.fixture(scope="module")
def site(repo, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-D", "nb_execution_mode=off"]
    options += ["-D", "suppress_warnings=myst-nb.lexer"]  # unknown without an execution
    command = [sys.executable, "-m", "sphinx", *options, "-d", out / "trees", repo / "docs", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def _pages(site: Path) -> list[Path]:
    return [p for p in sorted(site.rglob("*.html")) if "_modules" not in p.parts]


def test_every_link_within_the_site_leads_somewhere(site):
    anchors = {
        p: set(re.findall(r'\bid="([^"]+)"', p.read_text(encoding="utf-8")))
        for p in site.rglob("*.html")
    }
    dead = []
    for page in _pages(site):
        for link in re.findall(r'\bhref="([^"]+)"', page.read_text(encoding="utf-8")):
            parts = urlsplit(html.unescape(link))
            if parts.scheme or link.startswith("//"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            fragment = unquote(parts.fragment)
            known = target.suffix != ".html" or not fragment or fragment in anchors.get(target, ())
            if not target.exists() or not known:
                dead.append(f"{page.relative_to(site)}: {link}")
    assert dead == []


def test_nothing_is_loaded_from_the_network(site):
    loaded = [
        (p.name, url)
        for p in _pages(site)
        for url in re.findall(r'<(?:script|img|link)\b[^>]*\b(?:src|href)="([^"]+)"', p.read_text())
        if url.startswith(("http", "//"))
    ]
    assert loaded == []


def test_pages_load_without_console_output_and_fit_a_phone(site, visit):
    pages = [p.relative_to(site).as_posix() for p in _pages(site) if "_downloads" not in p.parts]
    assert len(pages) > 40
    probe = site / "probe.html"
    probe.write_text(PROBE.replace("FRAMES", "".join(map(FRAME.format, pages))))
    dom, console = visit(probe)
    assert console == ""
    assert json.loads(re.search(r'<pre id="out">(.*?)</pre>', dom)[1]) == []


def test_search_works_from_a_file(site, visit):
    dom, _ = visit(site / "search.html", "q=retention", "--virtual-time-budget=10000")
    results = re.search(r'id="search-results".*', dom, re.DOTALL)[0]
    assert results.count("<li") > 3
