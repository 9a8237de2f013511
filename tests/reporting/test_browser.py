"""The report in Chromium: no errors, no horizontal scrolling on a phone, readable dark mode."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROBE = """<!doctype html><body style="margin:0">
<iframe id="f" src="report.html" style="border:0;width:WIDTHpx;height:900px"></iframe>
<pre id="out">not loaded</pre>
<script>
document.getElementById("f").onload = event => {
  const d = event.target.contentDocument, root = d.documentElement;
  const wide = [...d.querySelectorAll("main *")].filter(e => {
    for (let p = e.parentElement; p; p = p.parentElement)
      if (["auto", "hidden"].includes(d.defaultView.getComputedStyle(p).overflowX)) return false;
    return e.getBoundingClientRect().right > root.clientWidth + 1;
  });
  const text = d.querySelector("figure svg text");
  document.getElementById("out").textContent = JSON.stringify({
    client: root.clientWidth, scroll: root.scrollWidth, wide: wide.length,
    first: wide.length ? wide[0].outerHTML.slice(0, 200) : "",
    fill: d.defaultView.getComputedStyle(text).fill,
    images: [...d.querySelectorAll("image")].length,
  });
};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


@pytest.fixture(scope="module")
def folder(page, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("browser")
    (path / "report.html").write_text(page, encoding="utf-8")
    return path


def visit(chromium: str, page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """Return the DOM of the loaded page, and the console output."""
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={profile}",
            "--dump-dom",
            *flags,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = "\n".join(x for x in done.stderr.splitlines() if ":CONSOLE" in x)
    return done.stdout, console


def probe(chromium: str, folder: Path, tmp_path: Path, width: int, *flags: str) -> dict[str, Any]:
    page = folder / f"probe{width}.html"
    page.write_text(PROBE.replace("WIDTH", str(width)))
    dom, console = visit(chromium, page, tmp_path / "profile", *flags)
    assert console == ""
    out = re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)
    assert out is not None
    assert out[1] != "not loaded"
    return json.loads(html.unescape(out[1]))


def test_the_probe_detects_console_errors(chromium, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('seen'); nothing.here()</script>")
    _, console = visit(chromium, page, tmp_path / "profile")
    assert "seen" in console
    assert "ReferenceError" in console


def test_the_page_loads_without_console_output(chromium, folder, tmp_path):
    dom, console = visit(chromium, folder / "report.html", tmp_path / "profile")
    assert console == ""
    assert "Characteristics" in dom


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_horizontally(chromium, folder, tmp_path, width):
    found = probe(chromium, folder, tmp_path, width)
    assert found["client"] == width
    assert found["scroll"] == width
    assert found["wide"] == 0, found["first"]
    assert found["images"] > 5


def test_figures_follow_the_colour_scheme(chromium, folder, tmp_path):
    dark = probe(chromium, folder, tmp_path, 700, "--blink-settings=preferredColorScheme=0")
    light = probe(chromium, folder, tmp_path, 701, "--blink-settings=preferredColorScheme=1")
    assert dark["fill"] == "rgb(228, 231, 235)"
    assert light["fill"] == "rgb(31, 35, 40)"
