"""A function that converts logs given as text."""

import pytest

from rramfit.measurement import convert_measurement

ARRAY = '[array]\nid = "x"\ncell = "1T1R"\nrows = {rows}\ncols = {cols}\n{more}\n'


@pytest.fixture
def convert(tmp_path):
    """Return a function that converts one log, or several by name, with a layout's text."""

    def run(logs, layout, *, rows=2, cols=2, more="", name="log.csv"):
        several = logs if isinstance(logs, dict) else {name: logs}
        for path, content in several.items():
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / path).write_bytes(data)
        lab = tmp_path / "lab.toml"
        lab.write_text(ARRAY.format(rows=rows, cols=cols, more=more) + layout, encoding="utf-8")
        return convert_measurement([tmp_path / path for path in several], lab)

    return run


@pytest.fixture
def reasons():
    """Return a function that lists the skipped rows of a conversion by reason."""
    return lambda conversion: {b.reason: b.lines for b in conversion.bad}
