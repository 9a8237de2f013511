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

from rramfit.reporting.page.document import Cell, Column, Report, Section, Table

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


HOVER = """<!doctype html><body style="margin:0">
<iframe id="f" src="report.html" style="border:0;width:1200px;height:900px"></iframe>
<pre id="out">not loaded</pre>
<script>
document.getElementById("f").onload = event => {
  const w = event.target.contentWindow, d = w.document, out = {};
  setTimeout(async () => {
    for (const figure of d.querySelectorAll("figure")) {
      const svg = figure.querySelector(".plot svg");
      svg.scrollIntoView({block: "center", behavior: "instant"});
      const r = svg.getBoundingClientRect(), tip = d.querySelector(".tip");
      for (let x = 0.2; x < 0.8 && !out[figure.id]; x += 0.1)
        for (let y = 0.2; y < 0.8 && !out[figure.id]; y += 0.1) {
          const at = {clientX: r.left + r.width * x, clientY: r.top + r.height * y};
          svg.dispatchEvent(new w.PointerEvent("pointermove", at));
          if (!tip.hidden) out[figure.id] = tip.textContent;
        }
    }
    const saved = [];
    w.URL.createObjectURL = blob => { saved.push(blob); return "#"; };
    const map = d.getElementById("fig-map-level-0"), tools = map.querySelectorAll(".tools button");
    tools[1].click();
    tools[0].click();
    await new Promise(done => setTimeout(done, 200));
    out.csv = (await saved[0].text()).split("\\n").slice(0, 2);
    const dialog = d.querySelector("dialog.enlarged"), large = dialog.querySelector("svg");
    const before = large.getAttribute("viewBox");
    large.dispatchEvent(new w.WheelEvent("wheel", {deltaY: -100, clientX: 600, clientY: 400}));
    out.zoomed = before !== large.getAttribute("viewBox");
    dialog.querySelector("button").click();
    out.closed = d.querySelector("dialog") === null;
    document.getElementById("out").textContent = JSON.stringify(out);
  }, 1000);
};
</script>"""


def test_figures_show_values_enlarge_and_save_their_data(chromium, folder, tmp_path):
    page = folder / "hover.html"
    page.write_text(HOVER)
    dom, console = visit(chromium, page, tmp_path / "profile", "--virtual-time-budget=8000")
    assert console == ""
    found = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert re.fullmatch(r"row \d+, column \d+: [\d.]+", found["fig-map-level-0"])
    assert found["csv"][0] == "row,column,value"
    assert re.fullmatch(r"0,0,[\d.]*", found["csv"][1])
    assert found["zoomed"]
    assert found["closed"]
    assert len(found) > 12


SORT = """<!doctype html><body style="margin:0">
<iframe id="f" src="lot.html" style="border:0;width:1200px;height:900px"></iframe>
<pre id="out">not loaded</pre>
<script>
document.getElementById("f").onload = event => {
  const d = event.target.contentDocument, out = {};
  const box = d.querySelector(".scroll.sortable"), buttons = box.querySelectorAll("thead button");
  const names = () => [...box.querySelectorAll("tbody tr")].filter(row => !row.hidden)
    .map(row => row.cells[0].textContent.trim());
  buttons[1].click();
  out.up = names();
  buttons[1].click();
  out.down = names();
  buttons[0].click();
  out.named = names();
  const input = d.querySelector(".filter input");
  input.value = "BAD die1";
  input.dispatchEvent(new Event("input"));
  out.bad = names();
  out.link = box.querySelector("tbody tr:not([hidden]) a").href;
  document.getElementById("out").textContent = JSON.stringify(out);
};
</script>"""


def test_tables_of_a_lot_are_sorted_and_filtered(chromium, tmp_path):
    rows = (
        ("die10", "4\N{NO-BREAK SPACE}\N{MICRO SIGN}S", "ok"),
        ("die2", "900 nS", "bad"),
        ("die11", "", "bad"),
        ("die1", "1,200 uS", "ok"),
    )
    table = Table(
        caption="Files",
        columns=(Column("file", numeric=False), Column("mean"), Column("verdict", numeric=False)),
        rows=tuple((Cell(x, address=f"{x}.report.html"), *rest) for x, *rest in rows),
        sortable=True,
    )
    section = Section(key="chips", title="Chips", blocks=(table,))
    Report(title="Lot", sections=(section,)).save(tmp_path / "lot.html")
    page = tmp_path / "sort.html"
    page.write_text(SORT)
    dom, console = visit(chromium, page, tmp_path / "profile")
    assert console == ""
    found = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert found["up"] == ["die2", "die10", "die1", "die11"]
    assert found["down"] == ["die1", "die10", "die2", "die11"]
    assert found["named"] == ["die1", "die2", "die10", "die11"]
    assert found["bad"] == ["die11"]
    assert found["link"] == (tmp_path / "die11.report.html").as_uri()


CHOICES = """<!doctype html><body style="margin:0">
<iframe id="f" src="lot.html" style="border:0;width:1200px;height:900px"></iframe>
<pre id="out">not loaded</pre>
<script>
document.getElementById("f").onload = event => {
  const w = event.target.contentWindow, d = w.document, out = {};
  const list = d.querySelector("#some select");
  const shown = () => [...d.querySelectorAll("[data-choice]")].filter(x => x.offsetParent !== null)
    .map(x => x.dataset.choice + " " + x.tagName);
  out.names = [...list.options].map(x => x.text);
  out.first = shown();
  list.value = "levels[1].std";
  list.dispatchEvent(new Event("change"));
  out.second = shown();
  const box = d.querySelector("#all .sortable"), bar = d.querySelector("#all .filter");
  const said = bar.querySelector("span");
  const count = () => [box.querySelectorAll("tbody tr").length, said.textContent];
  out.long = count();
  box.querySelector("thead button").click();
  box.querySelector("thead button").click();
  out.last = box.querySelector("tbody tr").cells[0].textContent;
  bar.querySelector("input").value = "999";
  bar.querySelector("input").dispatchEvent(new Event("input"));
  out.found = count();
  bar.querySelector("input").value = "";
  bar.querySelector("input").dispatchEvent(new Event("input"));
  bar.querySelector("button").click();
  out.all = count();
  out.hover = box.querySelector("td[title]").title;
  document.getElementById("out").textContent = JSON.stringify(out);
};
</script>"""


def test_a_parameter_is_chosen_and_long_tables_open_by_their_first_rows(chromium, tmp_path):
    columns = (Column("file", numeric=False), Column("mean"))
    blocks = []
    for path in ("levels[0].mean", "levels[1].std"):
        rows = tuple((f"{path} {i}", str(i)) for i in range(3))
        blocks += [
            Table(caption=path, columns=columns, rows=rows, choice=path, sortable=True),
            Table(caption=path, columns=columns, rows=rows, choice=path, folded=True),
        ]
    long = tuple((f"die{i}", Cell(str(i), title=f"{i}.0001")) for i in range(2000))
    table = Table(caption="Files", columns=columns, rows=long, sortable=True)
    sections = (
        Section(key="some", title="Maps", blocks=tuple(blocks), chooser="Parameter"),
        Section(key="all", title="Chips", blocks=(table,)),
    )
    Report(title="Lot", sections=sections).save(tmp_path / "lot.html")
    page = tmp_path / "choices.html"
    page.write_text(CHOICES)
    dom, console = visit(chromium, page, tmp_path / "profile")
    assert console == ""
    found = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)[1]))
    names = ["levels[0].mean", "levels[1].std"]
    assert found["names"] == names
    for name, key in zip(names, ("first", "second"), strict=True):
        assert found[key] == [f"{name} {tag}" for tag in ("P", "DIV", "DETAILS")]
    assert found["long"] == [300, "2000 of 2000 rows, the first 300 shown"]
    assert found["last"] == "die1999"
    assert found["found"] == [2, "2 of 2000 rows"]
    assert found["all"] == [2000, "2000 of 2000 rows"]
    assert found["hover"] == "1999.0001"
