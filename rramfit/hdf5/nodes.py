"""Groups and datasets of a file that another process reads, with the names that h5py uses.

Descriptions are requested once, when a group is first used; data are requested each time. An object
of a damaged file raises an error of the kind given to `open_hdf5` when it is used, not before.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rramfit.errors import InputError
from rramfit.hdf5.reader import Reader

__all__ = ["Dataset", "File", "Group", "is_hdf5", "open_hdf5"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DEPTH = 32  # of groups in groups


def is_hdf5(path: Path) -> bool:
    """Return whether a file has the signature of HDF5: at its start, or at 512, 1024, … bytes."""
    with path.open("rb") as f:
        size = f.seek(0, 2)
        at = 0
        while at < size:
            f.seek(at)
            if f.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
            at = max(2 * at, 512)
    return False


@contextlib.contextmanager
def open_hdf5(path: Path, error: type[InputError], *, check: bool = True) -> Iterator[File]:
    """Open a file for reading; the file must exist and have the signature of HDF5.

    Parameters
    ----------
    path : Path
    error : type of InputError
        Raised for whatever is wrong with the file, also later, inside the context.
    check : bool
        Whether to check the digest of the structure.
    """
    reader = Reader(path, error)
    try:
        sealed = reader.open(check=check)
        yield File(_Source(path, error, reader), "/", sealed=sealed)
    finally:
        reader.close()


class _Source:
    """What the nodes of a file share."""

    def __init__(self, path: Path, error: type[InputError], reader: Reader) -> None:
        self.path, self.error, self.reader = path, error, reader

    def broken(self, where: str, found: str) -> InputError:
        return self.error(
            self.path,
            where,
            found=f"data that HDF5 cannot decode ({found})",
            expected="a readable dataset",
            remedy="copy the file again from its source, because it is damaged",
        )


class Attributes(Mapping[str, Any]):
    """Attributes as text, numbers and bools; an array as its only element, or as a tuple."""

    def __init__(self, source: _Source, owner: str, described: Mapping[str, Any]) -> None:
        self._source, self._owner, self._described = source, owner, described

    def __getitem__(self, name: str) -> Any:
        found = self._described[name]
        if "broken" in found:
            where = f"{self._owner}@{name}"
            raise self._source.broken(where, found["broken"])
        if "other" in found:
            return (found["other"],)  # a tuple: neither text, number nor array, so never valid
        value = found["value"]
        return tuple(value) if isinstance(value, list) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._described)

    def __len__(self) -> int:
        return len(self._described)


class Dataset:
    """A dataset; its data are read by indexing."""

    def __init__(
        self,
        source: _Source,
        parent: Group,
        name: str,
        described: Mapping[str, Any],
        *,
        axis: int | None = None,
    ) -> None:
        self._source, self._described, self._axis = source, described, axis
        self.parent, self.name = parent, name
        self.shape: tuple[int, ...] = tuple(described["shape"])
        self._type: str = described["dtype"]
        self.attrs = Attributes(source, name, described["attrs"])

    def along(self, axis: int) -> Dataset:
        """Return the dataset for one pass along an axis, which decompresses each chunk once."""
        return Dataset(self._source, self.parent, self.name, self._described, axis=axis)

    @property
    def is_text(self) -> bool:
        """Whether the dataset holds text."""
        return self._type == "text"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of numbers; object for text, void for others."""
        if self._type.startswith("other"):
            return np.dtype("V1")
        return np.dtype("O" if self.is_text else self._type)

    @property
    def type_name(self) -> str:
        """Name of the type, for messages."""
        return (
            self._type.removeprefix("other ")
            if self.dtype.kind == "V" or self.is_text
            else str(self.dtype)
        )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __getitem__(self, index: Any) -> Any:
        """Return a part: `...`, `()`, integers and slices without step, as h5py does."""
        shape = self.shape
        if self.dtype.kind == "V":
            raise self._source.broken(self.name, f"values of type {self.type_name}")
        parts = _parts(index, shape)
        kept = tuple(p[1] - p[0] for p in parts if not isinstance(p, int))
        request = {"do": "read", "path": self.name, "index": parts, "axis": self._axis}
        if self.is_text:
            texts = self._source.reader.ask(self.name, request)
            if not isinstance(texts, list) or len(texts) != math.prod(kept):
                raise self._source.broken(self.name, "another number of texts than stated")
            words: NDArray[Any] = np.array([str(t) for t in texts], dtype=object).reshape(kept)
            return words[()]
        try:
            values: NDArray[Any] = np.empty(kept, self.dtype)
        except MemoryError:
            shown = " × ".join(map(str, kept))
            raise self._source.broken(self.name, f"{shown} values, too many") from None
        raw = values.reshape(-1).view(np.uint8) if values.size else None
        self._source.reader.ask(self.name, request, raw)
        return values[()] if values.ndim == 0 else values


def _parts(index: Any, shape: tuple[int, ...]) -> list[Any]:
    """Return an index as one [first, stop] or integer for each axis."""
    given = index if isinstance(index, tuple) else (index,)
    given = tuple(i for i in given if i is not Ellipsis)
    given += (slice(None),) * (len(shape) - len(given))
    parts: list[Any] = []
    for part, size in zip(given, shape, strict=True):
        if isinstance(part, slice):
            first, stop, _ = part.indices(size)
            parts.append([first, max(first, stop)])
        else:
            parts.append(int(part) + (size if part < 0 else 0))
    return parts


class Group:
    """A group; its members are found by name or path."""

    def __init__(self, source: _Source, name: str) -> None:
        self._source, self.name = source, name
        self._known: Mapping[str, Any] | None = None
        self._found: dict[str, Any] = {}

    @property
    def _described(self) -> Mapping[str, Any]:
        if self._known is None:
            request = {"do": "describe", "path": self.name}
            self._known = self._source.reader.ask(self.name, request)
        return self._known

    @property
    def attrs(self) -> Attributes:
        """Attributes of the group."""
        return Attributes(self._source, self.name, self._described["attrs"])

    @property
    def address(self) -> int:
        """Place in the file: the same for all names of a group."""
        return int(self._described["at"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._described["members"])

    def __len__(self) -> int:
        return len(self._described["members"])

    def keys(self) -> list[str]:
        """Return the names of the members."""
        return list(self)

    def __contains__(self, path: str) -> bool:
        name, _, rest = path.strip("/").partition("/")
        if name not in self._described["members"]:
            return False
        inner = self[name] if rest else None
        return not rest or (isinstance(inner, Group) and rest in inner)

    def get(self, path: str, default: Any = None) -> Any:
        """Return the object at a path below this group, or `default` if there is none."""
        return self[path] if path in self else default  # noqa: SIM401  # this is `get`

    def __getitem__(self, path: str) -> Any:
        name, _, rest = path.strip("/").partition("/")
        if name not in self._found:
            self._found[name] = self._member(name, self._described["members"][name])
        found = self._found[name]
        return found[rest] if rest else found

    def _member(self, name: str, described: Mapping[str, Any]) -> Any:
        where = f"{self.name.rstrip('/')}/{name}"
        if described["kind"] == "group":
            return Group(self._source, where)
        if described["kind"] == "dataset":
            return Dataset(self._source, self, where, described)
        if described["kind"] == "broken":
            raise self._source.broken(where, described["found"])
        return Other(where, described["found"])

    def datasets(self) -> Iterator[Dataset]:
        """Yield every dataset in this group and below, once."""
        seen: set[int] = set()

        def below(group: Group, depth: int) -> Iterator[Dataset]:
            if group.address in seen or depth > _DEPTH:
                return
            seen.add(group.address)
            for name in group:
                member = group[name]
                if isinstance(member, Dataset):
                    yield member
                elif isinstance(member, Group):
                    yield from below(member, depth + 1)

        yield from below(self, 0)


class File(Group):
    """The root group of a file.

    Attributes
    ----------
    sealed : bool, optional
        Whether the structure is the one that rramfit wrote; None if the file does not state it.
    """

    def __init__(self, source: _Source, name: str, *, sealed: bool | None) -> None:
        super().__init__(source, name)
        self.sealed = sealed


class Other:
    """An object that is not read, such as a link to another file."""

    def __init__(self, name: str, found: str) -> None:
        self.name, self.found = name, found
