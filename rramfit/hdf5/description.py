"""What is in an open HDF5 file, as JSON: its groups, datasets and attributes without the data.

Nothing outside the file is opened: external and user-defined links, datasets whose data are in
other files and virtual datasets are described as such. A soft link is followed inside the file.
An object that cannot be read is described as broken, so that the rest remains readable.

    group      {"kind": "group", "at": address, "attrs": …, "members": {name: description}}
    dataset    {"kind": "dataset", "dtype": "<f4" or "text" or "other …", "shape": …, "attrs": …}
    otherwise  {"kind": "other" or "broken", "found": what it is}
    attribute  {"value": …} of a text, a number or a list; {"other": …} or {"broken": …}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

__all__ = [
    "Refused",
    "describe",
    "located",
    "plain_text",
    "reason_of",
    "simple_type",
    "texts_of",
    "tree",
]

_LINK_DEPTH = 16
_GROUP_DEPTH = 32
_ATTRIBUTE_LIMIT = 10_000  # elements


class Refused(Exception):  # noqa: N818  # of this process only; the parent raises an InputError
    """An object that is not read; the message completes "found …"."""


def reason_of(error: BaseException) -> str:
    """Return the message of an exception of h5py, without the part that is always the same."""
    text = " ".join(str(error).split()).strip("'\"")
    general = re.fullmatch(r"(?:Unable to|Can't) [^()]*\((.*)\)", text)
    return (general.group(1) if general else text or type(error).__name__)[:300]


def plain_text(value: str | bytes) -> str:
    """Return text as Unicode; bytes that are not UTF-8 are replaced."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def texts_of(values: Any) -> list[str]:
    """Return the elements of an array of text."""
    return [
        plain_text(v) if isinstance(v, (str, bytes)) else "" for v in np.asarray(values).reshape(-1)
    ]


def simple_type(dtype: np.dtype[Any]) -> str:
    """Return "text", the name of a type of numbers, or "other" with the type."""
    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    if dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.subdtype is None:
        return str(dtype.str)
    return f"other {dtype}"[:100]


def located(file: h5py.File, path: str) -> Any:
    """Return the object at a path, without leaving the file.

    Raises
    ------
    Refused
        If the path leads out of the file, or in circles.
    KeyError
        If there is no such object.
    """
    return _follow(file, file, [p for p in path.split("/") if p], _LINK_DEPTH)


def _follow(file: h5py.File, start: Any, parts: list[str], depth: int) -> Any:
    here = start
    for at, name in enumerate(parts):
        if name == ".":
            continue
        if not isinstance(here, h5py.Group):
            raise KeyError(name)
        kind = here.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
        if kind == h5py.h5l.TYPE_HARD:
            here = _open(here, name)
        elif kind == h5py.h5l.TYPE_SOFT:
            if not depth:
                msg = "soft links that lead in circles"
                raise Refused(msg)
            value = here.id.links.get_val(name.encode("utf-8", "surrogateescape"))
            target = value.decode("utf-8", "surrogateescape")
            begin = file if target.startswith("/") else here
            rest = [p for p in target.split("/") if p] + parts[at + 1 :]
            return _follow(file, begin, rest, depth - 1)
        else:
            msg = "a link to another file, which is not followed"
            raise Refused(msg)
    return here


def _open(group: h5py.Group, name: str) -> Any:
    """Open a member of a group, unless its data are in another file."""
    try:
        identifier = h5py.h5o.open(group.id, name.encode("utf-8", "surrogateescape"))
    except KeyError as e:  # the link is there
        raise OSError(reason_of(e)) from None
    if isinstance(identifier, h5py.h5d.DatasetID):
        creation = identifier.get_create_plist()
        if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
            msg = "a dataset whose data are in another file, which is not read"
            raise Refused(msg)
        return h5py.Dataset(identifier)
    if isinstance(identifier, h5py.h5g.GroupID):
        return h5py.Group(identifier)
    msg = "an object that is neither a group nor a dataset"
    raise Refused(msg)


def describe(found: Any) -> dict[str, Any]:
    """Describe a dataset, or a group with its members."""
    if isinstance(found, h5py.Dataset):
        return _dataset(found)
    return {**_group(found), "members": {n: _member(found, n) for n in _names(found)}}


def _names(group: h5py.Group) -> list[str]:
    return [plain_text(name) for name in group.id]


def _member(group: h5py.Group, name: str) -> dict[str, Any]:
    try:
        found = _follow(group.file, group, [name], _LINK_DEPTH)
        return _dataset(found) if isinstance(found, h5py.Dataset) else _group(found)
    except Refused as e:
        return {"kind": "other", "found": str(e)}
    except KeyError:
        return {"kind": "other", "found": "a link to an object that does not exist"}
    except Exception as e:  # noqa: BLE001  # a damaged file raises whatever it likes
        return {"kind": "broken", "found": reason_of(e)}


def _group(group: h5py.Group) -> dict[str, Any]:
    return {
        "kind": "group",
        "at": int(h5py.h5o.get_info(group.id).addr),
        "attrs": _attributes(group.id),
    }


def _dataset(dataset: h5py.Dataset) -> dict[str, Any]:
    if dataset.shape is None:
        return {"kind": "other", "found": "a dataset without values"}
    return {
        "kind": "dataset",
        "dtype": simple_type(dataset.dtype),
        "shape": [int(n) for n in dataset.shape],
        "attrs": _attributes(dataset.id),
    }


def _attributes(owner: Any) -> dict[str, Any]:
    found = {}
    for at in range(h5py.h5a.get_num_attrs(owner)):
        attribute = h5py.h5a.open(owner, index=at)
        found[plain_text(attribute.name)] = _attribute(attribute)
    return found


def _attribute(attribute: Any) -> dict[str, Any]:
    try:
        kind, shape = simple_type(attribute.dtype), attribute.shape
        if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            return {"value": None}
        count = int(np.prod(shape, dtype=float))
        if kind.startswith("other") or count > _ATTRIBUTE_LIMIT:
            return {"other": kind if count <= _ATTRIBUTE_LIMIT else f"{count} elements"}
        if kind == "text":
            values: list[Any] = texts_of(_text_values(attribute))
        else:
            numbers = np.empty(shape, attribute.dtype)
            attribute.read(numbers)
            values = [v.item() for v in numbers.reshape(-1)]
        return {"value": values[0] if count == 1 else values}
    except Exception as e:  # noqa: BLE001  # a damaged file raises whatever it likes
        return {"broken": reason_of(e)}


def _text_values(attribute: Any) -> Any:
    """Read text as h5py does: of fixed or variable length."""
    text = h5py.check_string_dtype(attribute.dtype)
    if text.length is None:
        values = np.empty(attribute.shape, dtype=object)
        attribute.read(values, mtype=h5py.h5t.py_create(attribute.dtype))
        return values
    values = np.empty(attribute.shape, dtype=f"S{text.length}")
    attribute.read(values, mtype=attribute.get_type())
    return values


def tree(
    file: h5py.File, known: dict[str, Any] | None = None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (path, description) of every object, each group once, in the order of names.

    Parameters
    ----------
    file : h5py.File
    known : dict, optional
        Filled with the descriptions of groups, with their members.
    """
    seen: set[int] = set()

    def walk(path: str, group: Any, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
        here = describe(group)
        if here["at"] in seen or depth > _GROUP_DEPTH:
            return
        seen.add(here["at"])
        if known is not None:
            known[path or "/"] = here
        members = here["members"]
        yield path or "/", {"kind": here["kind"], "attrs": here["attrs"]}
        for name in sorted(members):
            member = members[name]
            if member["kind"] == "group" and member["at"] not in seen:
                yield from walk(
                    f"{path}/{name}", _follow(file, group, [name], _LINK_DEPTH), depth + 1
                )
            elif member["kind"] != "group":
                yield f"{path}/{name}", member

    yield from walk("", file, 0)
