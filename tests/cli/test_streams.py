"""Results that cannot be written to standard output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
COMMAND = "from rramfit_cli.main import main; main()"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_full_disk_is_an_error_without_a_traceback(repo, as_json):
    card = repo / "fits" / "reference-1.0.0.card.json"
    command = [sys.executable, "-c", COMMAND, "card", "show", str(card), *["--json"] * as_json]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"standard output: {os.strerror(28)}")
    assert "Traceback" not in done.stderr
