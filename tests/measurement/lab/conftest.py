"""Reading of one table file as all its rows, and import of a log by its own draft."""

import numpy as np
import pytest

from rramfit.measurement import (
    convert_measurement,
    guess_layout,
    validate_layout,
    write_conversion,
)
from rramfit.measurement.lab.layout_table import TableSource
from rramfit.measurement.lab.tables import read_blocks

NO_HEADER = ("addr", "r")


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a file and reads it as rows."""

    def run(content, name="log.csv", **source):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_path(path, **source)

    return run


@pytest.fixture(name="read_path")
def _read_path():
    """Return the function that reads a file as rows."""
    return read_path


def read_path(path, **source):
    if "header" not in source and "columns" not in source:
        source["columns"] = NO_HEADER
    blocks = list(read_blocks([path], TableSource(kind="table", **source)))
    return Table(blocks)


@pytest.fixture
def imported(tmp_path):
    """Return a function that drafts a layout, converts with it unchanged, and checks the file."""

    def run(content, *more, name="log.csv", group=None):
        paths = [content] if not isinstance(content, (str, bytes)) else [tmp_path / name]
        if isinstance(content, (str, bytes)):
            paths[0].write_bytes(content if isinstance(content, bytes) else content.encode())
        paths += more
        text = guess_layout(*paths, group=group)
        lab = tmp_path / "lab.toml"
        lab.write_text(text)
        conversion = convert_measurement(paths, lab)
        assert "FILL IN" not in text
        for path in write_conversion(conversion, tmp_path / "out.h5"):
            assert validate_layout(path) == []
        return conversion.measurements[0], text, conversion

    return run


class Table:
    """All blocks of a file, joined."""

    def __init__(self, blocks):
        self.names = list(blocks[0].columns)
        self.columns = {
            n: np.concatenate([b.columns[n].astype(object) for b in blocks]) for n in self.names
        }
        self.lines = np.concatenate([b.line for b in blocks]).tolist()
        self.block = np.concatenate([b.block for b in blocks]).tolist()
        self.titles = {k: v for b in blocks for k, v in b.titles.items()}
        self.bad = {}
        for b in blocks:
            for bad in b.bad:
                self.bad.setdefault(bad.reason, []).extend(bad.lines)

    def numbers(self, name):
        return self.columns[name].astype(float).tolist()
