"""Files of any structure: names of the layout with any type, shape, values and attributes."""

import contextlib
import json

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rramfit.errors import MeasurementError
from rramfit.measurement import inspect_measurement, read_measurement, validate_layout
from rramfit.measurement.file.contract.groups import GROUPS, ROOT_ATTRIBUTES
from rramfit.measurement.lab.guess import guess_layout

_TYPES = ("f2", "f4", "f8", ">f8", "i1", "u2", "i8", "u8", "?", "c8", "S3", "M8[s]")
_UNITS = ("S", "uS", "ohm", "V", "A", "s", "", "\x1b[2J", "kΩ")
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def _values():
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
    numbers = st.sampled_from(("f4", "f8", "i4", "u8", "?")).flatmap(
        lambda dtype: hnp.arrays(dtype, shapes)
    )
    others = st.sampled_from(_TYPES).map(lambda dtype: np.zeros((2, 2), dtype))
    return st.one_of(numbers, others, _TEXT, st.just(h5py.Empty("f4")))


def _attributes(known):
    names = st.one_of(st.sampled_from(sorted(known) or ["x"]), _TEXT.filter(bool))
    return st.dictionaries(names, st.one_of(_values(), st.sampled_from(_UNITS)), max_size=3)


@st.composite
def _structures(draw):
    groups = {}
    for name in draw(st.lists(st.sampled_from(sorted(GROUPS)), max_size=3, unique=True)):
        rule = GROUPS[name]
        keys = draw(st.lists(st.sampled_from(sorted(rule.datasets)), max_size=4, unique=True))
        datasets = {key: (draw(_values()), draw(st.sampled_from(_UNITS))) for key in keys}
        groups[name] = (datasets, draw(_attributes(rule.attributes)))
    return groups, draw(_attributes(ROOT_ATTRIBUTES))


def _write(path, structure):
    groups, attributes = structure
    with h5py.File(path, "w") as f:
        f.attrs.update({"format": "rramfit-measurement", "format_version": "1.1"})
        f.attrs.update({"array_id": "a", "cell": "1R"})
        _set(f, attributes)
        for name, (datasets, own) in groups.items():
            group = f.create_group(name)
            _set(group, own)
            for key, (values, units) in datasets.items():
                with contextlib.suppress(TypeError):  # a type that HDF5 does not have
                    group[key] = values
                    group[key].attrs["units"] = units


def _set(owner, attributes):
    for name, value in attributes.items():
        with contextlib.suppress(TypeError, ValueError):
            owner.attrs[name] = value


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("any") / "any.h5"


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(structure=_structures())
def test_any_structure_is_read_or_rejected_in_one_sentence(path, structure):
    _write(path, structure)
    problems = validate_layout(path)
    assert all(str(p).isprintable() for p in problems)
    json.dumps([p.to_dict() for p in problems])
    valid = all(p.note for p in problems)
    rejected = contextlib.nullcontext() if valid else pytest.raises(MeasurementError)
    with rejected:
        m = read_measurement(path)
        json.dumps(inspect_measurement(path).to_dict())
        for part in (m.program, m.reads, m.retention):
            for _ in part.blocks() if part is not None else ():
                pass
    with contextlib.suppress(MeasurementError):
        guess_layout(path)
