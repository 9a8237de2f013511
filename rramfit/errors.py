"""The one error tree: every error that rramfit raises on purpose.

A message says where, what was found, what was expected and what to do. The library raises; only
the command line catches.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ArrayError",
    "CardError",
    "CheckpointError",
    "FitError",
    "InputError",
    "MappingError",
    "MeasurementError",
    "OutputError",
    "RecipeError",
    "RramfitError",
    "RramfitWarning",
    "TrainingError",
]


class RramfitError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(RramfitError):
    """An input that is refused: names the file, the place in it, and the mend.

    Parameters
    ----------
    path : Path or str
        The file.
    where : str
        The place in it: an HDF5 path or a JSON key path.
    found, expected : str
        What is there, and what should be.
    remedy : str, optional
        What to do about it.
    """

    def __init__(
        self, path: Path | str, where: str, *, found: str, expected: str, remedy: str = ""
    ) -> None:
        text = f"{path}: {where}: found {found}; expected {expected}"
        super().__init__(f"{text}; {remedy}" if remedy else text)
        self.path = Path(path)
        self.where = where
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process."""
        fields = {"found": self.found, "expected": self.expected, "remedy": self.remedy}
        return _rebuild_input_error, (type(self), self.path, self.where, fields)


def _rebuild_input_error(
    kind: type[InputError], path: Path, where: str, fields: dict[str, str]
) -> InputError:
    return kind(path, where, **fields)


class MeasurementError(InputError):
    """A measurement file that cannot be read as layout 1.0."""


class CardError(InputError):
    """A model card that cannot be read, or whose content and digest disagree."""


class CheckpointError(InputError):
    """A file of tensors that cannot be read, or is of another network, chip or training."""


class RecipeError(InputError):
    """A training recipe that cannot be read, or asks for what there is not."""


class OutputError(RramfitError):
    """A result that cannot be written: names the file or folder, and why.

    Parameters
    ----------
    path : Path or str
    reason : str
        In the operating system's words.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}; give another folder or name")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process."""
        return type(self), (self.path, self.reason)


class FitError(RramfitError):
    """A fit that has no answer to give: no data, or a singular design."""


class ArrayError(RramfitError):
    """An array, wire or drive that cannot exist, or a solver that missed its tolerance."""


class MappingError(RramfitError):
    """A network that cannot be placed on the given tiles."""


class TrainingError(RramfitError):
    """A training that cannot start, resume or go on."""


class RramfitWarning(UserWarning):
    """Trouble that does not stop the work but that a person should know of."""
