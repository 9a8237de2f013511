"""Writing an export: all files and a README.md into one folder, together or not at all.

The files are written to a temporary folder beside the target first; only renames follow. The
folder also gets `export.json` with the digests of its files. By these an earlier export is
recognized: its files are replaced, and those that the new export does not have are removed.
Any other existing file is kept, and a name that is taken by one ends the export.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rramfit.errors import OutputError, OverwriteError, RramfitError, visible
from rramfit.export.contract import Export, Exporter, ExportError
from rramfit.export.readme import readme
from rramfit.export.registry import EXPORTERS, find_exporter
from rramfit.provenance import check_folder, package_version

if TYPE_CHECKING:
    from rramfit.card.schema import ModelCard

__all__ = ["MANIFEST", "export_card"]

MANIFEST = "export.json"
README = "README.md"


def export_card(
    card: ModelCard,
    target: str | Exporter,
    folder: Path | str,
    options: Mapping[str, object] | None = None,
    *,
    replace: bool = False,
) -> list[Path]:
    """Write a card as the files of a target, whole or not at all.

    Parameters
    ----------
    card : ModelCard
    target : str or Exporter
        A target's name (`rramfit.export.exporters` lists them), or an exporter.
    folder : Path or str
        May not exist yet.
    options : mapping, optional
        Options of the target; the others have their defaults.
    replace : bool
        Whether to replace existing files that no export wrote.

    Returns
    -------
    list of Path
        All files that were written, `README.md` and `export.json` last.

    Raises
    ------
    ExportError
        If the target is unknown, an option is wrong, or the target cannot take the card.
    OverwriteError
        If a name is taken by a file that no export wrote.
    OutputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    exporter = find_exporter(target) if isinstance(target, str) else target
    resolved = exporter.resolve(options or {})
    check_folder(folder)
    content = _exported(exporter, card, resolved)
    files = {name: _bytes(text) for name, text in content.files.items()}
    _check_names(exporter, files)
    files[README] = _bytes(readme(exporter, card, resolved, content))
    manifest = {
        "rramfit_export": exporter.name,
        "card": {"name": card.name, "revision": card.revision, "digest": card.digest},
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in resolved.items()},
        "rramfit_version": package_version(),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    files[MANIFEST] = _bytes(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    try:
        return _write(folder, files, replace=replace)
    except OSError as e:
        raise OutputError(folder, os.strerror(e.errno) if e.errno else str(e)) from e


def _exported(exporter: Exporter, card: ModelCard, options: Mapping[str, object]) -> Export:
    """Run an exporter; one of a plug-in may fail in any way."""
    own = getattr(exporter.export, "__module__", "") in EXPORTERS
    try:
        content: object = exporter.export(card, options)
    except RramfitError:
        raise
    except Exception as e:
        if own:
            raise
        msg = f"the exporter {exporter.name!r} failed: {type(e).__name__}: {e}. Repair the plug-in."
        raise ExportError(visible(msg)) from e
    if not isinstance(content, Export):
        msg = (
            f"the exporter {exporter.name!r} returned a {type(content).__name__}, expected an "
            "Export. Repair the plug-in."
        )
        raise ExportError(msg)
    contents: Mapping[Any, Any] = content.files  # a plug-in may give anything
    for name, data in contents.items():
        if not (isinstance(name, str) and isinstance(data, str | bytes)):
            msg = (
                f"the exporter {exporter.name!r} has a {type(data).__name__} for the file {name!r},"
                " expected text or bytes. Repair the plug-in."
            )
            raise ExportError(visible(msg))
    return content


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _check_names(exporter: Exporter, files: Mapping[str, bytes]) -> None:
    """Raise `ExportError` for a file outside of the folder, or with the name of one of ours."""
    for name in files:
        path = PurePosixPath(name)
        outside = path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts
        if outside or str(path) in (README, MANIFEST):
            msg = (
                f"the exporter {exporter.name!r} writes a file {name!r}, expected a path inside "
                f"its folder other than {README} and {MANIFEST}. Repair the plug-in."
            )
            raise ExportError(visible(msg))


def _write(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> list[Path]:
    former = _former(folder)
    for name in files:
        path = folder / name
        if path.is_dir():
            raise OutputError(path, "it is a folder")
        known = former.get(name) == _digest(path) or name == MANIFEST
        if path.exists() and not (replace or (former and known)):
            raise OverwriteError(path, "a file")
    with _beside(folder) as part:
        for name, data in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if not folder.exists():
            part.replace(folder)
        else:
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).replace(folder / name)
            for name in former.keys() - files.keys():
                if _digest(folder / name) == former[name]:
                    (folder / name).unlink()
    return [folder / name for name in files]


def _former(folder: Path) -> dict[str, str]:
    """Return the digests of the files that an earlier export wrote into a folder."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        former = content["files"] if content["rramfit_export"] else {}
        return {
            name: str(digest)
            for name, digest in former.items()
            if ".." not in PurePosixPath(name).parts and not PurePosixPath(name).is_absolute()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Make a folder beside another, and remove it at the end if it is still there."""
    import secrets

    target = folder.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
