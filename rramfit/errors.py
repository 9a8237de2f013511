"""The errors that rramfit raises on purpose, all derived from `RramfitError`.

A message names the place, what was found, what was expected and what to do:

    chip.h5: /levels/target: found unit 'kOhm', expected a conductance unit such as uS. Convert it.

The library raises; only the command line catches.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ArrayError",
    "CardError",
    "CheckpointError",
    "FitError",
    "InputError",
    "LayoutFileError",
    "MappingError",
    "MeasurementError",
    "OutputError",
    "OverwriteError",
    "RecipeError",
    "RramfitError",
    "RramfitWarning",
    "TrainingError",
    "WorkersError",
    "sentence",
    "visible",
]


def sentence(text: str) -> str:
    """Return `text` with a capital first letter and a full stop at the end.

    Examples
    --------
    >>> sentence("measure more cells"), sentence("Is the order right?"), sentence("")
    ('Measure more cells.', 'Is the order right?', '')
    """
    return _end(text[:1].upper() + text[1:])


def visible(text: str) -> str:
    r"""Return text on one line, with characters escaped that a terminal would obey or not encode.

    Examples
    --------
    >>> visible("chip\x1b[2J 7"), visible("one\ntwo")
    ('chip\\x1b[2J 7', 'one two')
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def _end(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."


_WHOLE_FILE = ("", "/", "file")


def _file_name(path: Path | str) -> str:
    """Return a path for a message: absolute if it is "." or "..", empty if there is none."""
    text = str(path)
    return str(Path(text).resolve()) if text in (".", "..") else text


class RramfitError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(RramfitError):
    """A rejected input file: names the file, the place in it, the fault and the fix.

    Parameters
    ----------
    path : Path or str
        The file; "" if the input is not from a file.
    where : str
        The place in it: an HDF5 path or a JSON key path. The message leaves out "/", "file" and "",
        which mean the whole file.
    found, expected : str
        What is there, and what should be there: noun phrases that complete "found …, expected …".
    remedy : str, optional
        What to do: an imperative sentence.
    """

    def __init__(
        self, path: Path | str, where: str, *, found: str, expected: str, remedy: str = ""
    ) -> None:
        place = [_file_name(path), "" if where in _WHOLE_FILE else where]
        text = _end(": ".join([*filter(None, place), f"found {found}, expected {expected}"]))
        super().__init__(visible(f"{text} {sentence(remedy)}".rstrip()))
        self.path = Path(path)
        self._given_path = str(path)  # Path("") is ".", so that no file would become a folder
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling, so that worker processes can raise it."""
        fields = {"found": self.found, "expected": self.expected, "remedy": self.remedy}
        return _rebuild_input_error, (type(self), self._given_path, self.where, fields)


def _rebuild_input_error(
    kind: type[InputError], path: str, where: str, fields: dict[str, str]
) -> InputError:
    return kind(path, where, **fields)


class MeasurementError(InputError):
    """A measurement file that cannot be read as layout 1.0."""


class LayoutFileError(MeasurementError):
    """A layout file that cannot be read, or describes something impossible."""


class CardError(InputError):
    """A model card that cannot be read, or whose content does not match its digest."""


class CheckpointError(InputError):
    """A tensor file that cannot be read, or belongs to another network, chip or training run."""


class RecipeError(InputError):
    """A training recipe that cannot be read, or asks for something that does not exist."""


class OutputError(RramfitError):
    """A result that cannot be written: names the file or folder, and the reason.

    Parameters
    ----------
    path : Path or str
    reason : str
        Usually the operating system's message.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(
            visible(f"cannot write {path}: {reason}. Choose another folder or file name.")
        )
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling, so that worker processes can raise it."""
        return type(self), (self.path, self.reason)


class OverwriteError(RramfitError):
    """A result that would replace a file that the command did not write.

    Parameters
    ----------
    path : Path or str
    kind : str
        What the existing file is: a noun phrase with its article.
    """

    def __init__(self, path: Path | str, kind: str) -> None:
        super().__init__(
            f"{path} exists and is {kind} that this command did not write; nothing was written "
            "over it. Choose another file name, or add --force to replace it."
        )
        self.path = Path(path)
        self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:
        """Support pickling, so that worker processes can raise it."""
        return type(self), (self.path, self.kind)


class FitError(RramfitError):
    """A fit that has no solution: too little data, or a singular design."""


class ArrayError(RramfitError):
    """An impossible array, wire or drive, or a solver that missed its tolerance."""


class MappingError(RramfitError):
    """A network that cannot be placed on the given tiles."""


class TrainingError(RramfitError):
    """A training run that cannot start, resume or continue."""


class WorkersError(RramfitError):
    """Worker processes that cannot be used, or a cluster that was lost."""


class RramfitWarning(UserWarning):
    """A problem that does not stop the work, but that the user should know about."""
