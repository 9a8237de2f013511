"""Names and attributes of a file that try to run code in the pages that show them."""

import re
import shutil
import subprocess
from urllib.parse import unquote

import h5py
import pytest
from click.testing import CliRunner

from rramfit.measurement import synthesize, write_measurement
from rramfit.measurement.virtual.cards import random_card
from rramfit_cli.main import cli

_MARK = "document.documentElement.setAttribute('data-ran','1')"
HOSTILE = (
    f'<img src=x onerror="{_MARK}"></title></script><script>{_MARK}</script>'
    f"'\"><svg onload={_MARK}> {{{{ 7 * 7 }}}} javascript:{_MARK}"
)
TEXTS = ("array_id", "lot", "wafer", "die", "technology", "instrument", "operator", "comment")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Reports of two hostile files and of their lot."""
    folder = tmp_path_factory.mktemp("hostile")
    files = []
    for n in range(2):
        path = folder / f"<img src=x onerror={_MARK}>{n}.h5"
        chip = synthesize(random_card(5, levels=2, array=(12, 10)), sweeps=4, seed=n)
        write_measurement(chip, path)
        with h5py.File(path, "r+") as f:
            for name in TEXTS:
                f.attrs[name] = HOSTILE
            del f["levels/name"]
            f["levels/name"] = [HOSTILE, "high"]
            f["levels"].attrs[HOSTILE] = HOSTILE
            del f.attrs["content_sha256"]
        files.append(str(path))
    done = CliRunner().invoke(cli, ["characterize", *files, "-o", str(folder / "out")])
    assert done.exit_code in (0, 4), done.output
    found = sorted((folder / "out").glob("*.html"))
    assert len(found) == 3
    return found


def test_nothing_runs_in_a_browser(pages, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    control = tmp_path / "control.html"
    control.write_text(f'<!doctype html><body><img src=x onerror="{_MARK}">')
    for page in [control, *pages]:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"]
        command = [chromium, *flags, "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        ran = re.search(r"<html[^>]*data-ran", done.stdout) is not None
        assert ran == (page is control), page.name


def test_the_names_are_shown_as_text(pages):
    shown = [page.read_text(encoding="utf-8") for page in pages]
    assert any("&lt;img src=x onerror" in text for text in shown)
    assert not any(f'<img src=x onerror="{_MARK}' in text for text in shown)


def test_reports_and_the_page_of_their_lot_link_to_each_other(pages):
    folder = pages[0].parent
    linked = {}
    for page in pages:
        found = re.findall(r'<a href="([^"#][^"]*)"', page.read_text(encoding="utf-8"))
        linked[page.name] = {unquote(address) for address in found}
        assert all((folder / name).is_file() for name in linked[page.name])
    reports = set(linked) - {"lot.html"}
    cards = {f"{name.removesuffix('.report.html')}.card.json" for name in reports}
    assert linked["lot.html"] == reports | cards | {"lot.csv"}
    for name in reports:
        assert linked[name] == {"lot.html", f"{name.removesuffix('.report.html')}.card.json"}


def test_terminal_output_has_no_escapes(tmp_path):
    path = tmp_path / "chip.h5"
    chip = synthesize(random_card(5, levels=2, array=(12, 10)), sweeps=3, seed=1)
    write_measurement(chip, path)
    with h5py.File(path, "r+") as f:
        for name in TEXTS:
            f.attrs[name] = "chip\x1b[2J\x1b]0;title\x07[red]x[/red]"
        del f.attrs["content_sha256"]
    done = CliRunner().invoke(cli, ["measurement", "inspect", str(path)])
    assert done.exit_code == 0, done.output
    assert "\x1b[2J" not in done.output
    assert "\x07" not in done.output
    assert "[red]x[/red]" in done.output
