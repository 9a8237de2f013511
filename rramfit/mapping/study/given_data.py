"""Data of yours: folders of images, arrays in `.npz`, and `module:callable`.

folder of class folders   one folder of images for each class, or `train` and `test` (or `val`) with
                          such folders; images of one size, grey or colour
.npz                      `images` and `labels`, or `train_images`, `train_labels`, `test_images`,
                          `test_labels` (also `x_train`, `y_train`, `x_test`, `y_test`)
module:callable           a function without arguments that returns (inputs, labels), these four, a
                          torch Dataset, or two of them for training and test

Without a test set, every fifth sample is one (of each class, in a folder). Images of bytes are
divided by 255. Whole-numbered labels are classes (sample,) or tokens (sample, position); other
labels are targets of a regression. The callable is code of yours and is run; files are only read.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from rramfit.errors import InputError, MappingError
from rramfit.mapping.study.imported import import_callable

__all__ = ["Arrays", "arrays_by_import", "arrays_of_folder", "arrays_of_npz", "has_class_folders"]

Arrays = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training inputs and labels, test inputs and labels."""

TEST_EVERY = 5

_KINDS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
_TESTS = ("test", "val", "valid", "validation")
_LARGEST = 2**33  # bytes of all images, as float32
_LARGEST_IMAGE = 2**24  # pixels
_NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)


def has_class_folders(folder: Path) -> bool:
    """Return whether a folder has folders with images."""
    return any(_images(x) for x in _folders(folder)) or bool(_split_folders(folder))


def _folders(folder: Path) -> list[Path]:
    return sorted(x for x in folder.iterdir() if x.is_dir() and not x.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(
        x
        for x in folder.iterdir()
        if x.suffix.lower() in _KINDS and not x.name.startswith(".") and x.is_file()
    )


def _split_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of training and test images, if they are separate."""
    train = folder / "train"
    test = next((folder / x for x in _TESTS if (folder / x).is_dir()), None)
    return (train, test) if train.is_dir() and test is not None and _folders(train) else None


def arrays_of_folder(folder: Path) -> tuple[Arrays, list[str]]:
    """Read a folder of class folders; return the arrays and the names of the classes.

    Raises
    ------
    InputError
        If an image cannot be read, or images differ in size, or classes differ between training
        and test.
    """
    split = _split_folders(folder)
    train = split[0] if split else folder
    classes = [x.name for x in _folders(train) if _images(x)]
    paths = [(p, k) for k, name in enumerate(classes) for p in _images(train / name)]
    if split is None:
        counts = [len(_images(train / name)) for name in classes]
        tests = [n > 1 and i % TEST_EVERY == 0 for n in counts for i in range(n)]
        if len(classes) < 2 or not any(tests):
            raise InputError(
                folder,
                "folder",
                found=f"{len(paths)} images in {len(classes)} class folders",
                expected="at least two class folders with two images or more",
            )
        images, labels = _read_images(paths)
        which = torch.tensor(tests)
        return (images[~which], labels[~which], images[which], labels[which]), classes
    extra = [x.name for x in _folders(split[1]) if _images(x) and x.name not in classes]
    if extra or not paths:
        raise InputError(
            split[1] if extra else train,
            extra[0] if extra else "folder",
            found="a class without training images" if extra else "no images",
            expected="the same class folders for training and test",
        )
    of_test = [
        (p, k)
        for k, name in enumerate(classes)
        if (split[1] / name).is_dir()
        for p in _images(split[1] / name)
    ]
    if not of_test:
        raise InputError(split[1], "folder", found="no images", expected="images in class folders")
    images, labels = _read_images([*paths, *of_test])
    n = len(paths)
    return (images[:n], labels[:n], images[n:], labels[n:]), classes


def _read_images(paths: list[tuple[Path, int]]) -> tuple[Tensor, Tensor]:
    """Read images of one size, grey if all are grey, (sample, channel, height, width)."""
    first = _image(paths[0][0]).shape[:2]
    size = 4 * 3 * len(paths) * math.prod(first)
    if size > _LARGEST:
        raise InputError(
            paths[0][0].parent.parent,
            "folder",
            found=f"images of {size / 2**30:.1f} GiB",
            expected=f"at most {_LARGEST / 2**30:.0f} GiB",
            remedy="use smaller images, or give a torch Dataset by module:callable",
        )
    found = []
    for path, _ in paths:
        one = _image(path)
        if one.shape[:2] != first:
            raise InputError(
                path,
                "size",
                found=f"{one.shape[1]} × {one.shape[0]} pixels",
                expected=f"{first[1]} × {first[0]} pixels, as {paths[0][0].name}",
                remedy="resize all images to one size",
            )
        found.append(one)
    channels = max(x.shape[2] for x in found)
    wide = [np.broadcast_to(x, (*first, channels)) for x in found]
    images = torch.from_numpy(np.stack(wide).astype(np.float32) / 255).permute(0, 3, 1, 2)
    return images.contiguous(), torch.tensor([k for _, k in paths])


def _image(path: Path) -> NDArray[np.uint8]:
    """Read one image, (height, width, channel) with one or three channels."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a size that a small file may expand to
            with Image.open(path) as opened:
                size = opened.size
                grey = opened.mode in ("1", "L")
                pixels = np.zeros((0, 0), np.uint8)
                if math.prod(size) <= _LARGEST_IMAGE:
                    pixels = np.asarray(opened.convert("L" if grey else "RGB"), dtype=np.uint8)
    except Exception as e:  # noqa: BLE001  # a damaged image raises whatever it likes
        found = str(e) or type(e).__name__
        raise InputError(path, "file", found=found, expected="an image") from None
    if not pixels.size:
        found, most = f"{size[0]} × {size[1]} pixels", f"at most {_LARGEST_IMAGE} pixels"
        raise InputError(path, "size", found=found, expected=most)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def arrays_of_npz(path: Path) -> Arrays:
    """Read arrays of a `.npz` file.

    Raises
    ------
    InputError
        If the file is damaged, or the arrays are missing or do not fit together.
    """
    expected = "arrays images and labels, or train_images, train_labels, test_images, test_labels"
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(x.file_size for x in archive.infolist())
        if size <= _LARGEST:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
    except Exception as e:  # noqa: BLE001  # a damaged archive raises whatever it likes
        raise InputError(path, "file", found=str(e), expected=expected) from None
    if size > _LARGEST:
        found, most = f"{size / 2**30:.1f} GiB of arrays", f"at most {_LARGEST / 2**30:.0f} GiB"
        raise InputError(path, "file", found=found, expected=most)
    for names in _NAMES:
        if all(n in arrays for n in names):
            return _checked(str(path), tuple(arrays[n] for n in names))
    if "images" not in arrays or "labels" not in arrays:
        found = ", ".join(arrays) or "no arrays"
        raise InputError(path, "arrays", found=found, expected=expected)
    return _checked(str(path), (arrays["images"], arrays["labels"]))


def arrays_by_import(name: str) -> Arrays:
    """Return the data that ``module:callable`` makes.

    Raises
    ------
    MappingError, InputError
        If the import or the call fails, or the result is not data.
    """
    make = import_callable(name)
    try:
        made = make()
    except Exception as e:  # user code can raise anything
        msg = f"data {name!r}: {type(e).__name__}: {e}; expected a callable without arguments"
        raise MappingError(msg) from e
    parts: tuple[Any, ...] = made if isinstance(made, tuple) else (made,)
    if parts and all(isinstance(x, TorchDataset) for x in parts) and len(parts) <= 2:
        parts = tuple(x for one in parts for x in _samples(name, one))
    if len(parts) not in (2, 4) or not all(isinstance(x, Tensor | np.ndarray) for x in parts):
        found = ", ".join(type(x).__name__ for x in parts)
        msg = (
            f"data {name!r} returned {found}; expected (inputs, labels), these for training and "
            "test, or a torch Dataset"
        )
        raise MappingError(msg)
    return _checked(name, parts)


def _samples(name: str, data: Any) -> tuple[Tensor, Tensor]:
    """Return all samples of a torch Dataset as two tensors."""
    try:
        pairs = [data[i] for i in range(len(data))]
        inputs = torch.stack([torch.as_tensor(np.asarray(x)) for x, _ in pairs])
        labels = torch.stack([torch.as_tensor(np.asarray(y)) for _, y in pairs])
    except Exception as e:  # user code can raise anything
        msg = (
            f"data {name!r}: {type(e).__name__}: {e}; expected a Dataset with a length, of pairs "
            "(input, label) of equal shapes"
        )
        raise MappingError(msg) from e
    return inputs, labels


def _checked(name: str, parts: tuple[Any, ...]) -> Arrays:
    """Return tensors of training and test data that fit together."""
    inputs, labels = zip(
        *((_inputs(name, parts[i]), _labels(name, parts[i + 1])) for i in range(0, len(parts), 2)),
        strict=True,
    )
    for x, y in zip(inputs, labels, strict=True):
        if len(x) != len(y) or len(x) < 2:
            found, expected = f"{len(x)} inputs and {len(y)} labels", "one label for each input"
            raise InputError(name, "labels", found=found, expected=f"{expected}, at least two")
    for what, (train, *test) in (("inputs", inputs), ("labels", labels)):
        if any(x.shape[1:] != train.shape[1:] or x.dtype != train.dtype for x in test):
            raise InputError(
                name,
                what,
                found=f"{tuple(train.shape)} for training, {tuple(test[0].shape)} for test",
                expected="the same shapes and types",
            )
    if len(inputs) == 2:
        return inputs[0], labels[0], inputs[1], labels[1]
    which = torch.arange(len(labels[0])) % TEST_EVERY == 0
    return inputs[0][~which], labels[0][~which], inputs[0][which], labels[0][which]


def _inputs(name: str, array: Any) -> Tensor:
    """Return inputs: floats, bytes as floats from 0 to 1, or tokens (sample, position)."""
    x = torch.as_tensor(array)
    wrong = None
    if x.ndim < 2:
        wrong = f"shape {tuple(x.shape)}"
    elif x.is_complex() or (x.is_floating_point() and not bool(x.isfinite().all())):
        wrong = "numbers that are complex or not finite"
    if wrong:
        raise InputError(name, "inputs", found=wrong, expected="finite numbers (sample, …)")
    if x.dtype == torch.uint8:
        x = x.float() / 255
    elif x.is_floating_point() or x.dtype == torch.bool:
        x = x.float()
    else:
        return x.long()
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        return x.permute(0, 3, 1, 2).contiguous()  # channels last
    return x


def _labels(name: str, array: Any) -> Tensor:
    y = torch.as_tensor(array)
    if y.ndim == 2 and y.shape[1] == 1 and not y.is_floating_point():
        y = y[:, 0]
    if y.ndim < 1 or y.is_complex():
        raise InputError(name, "labels", found=f"{y.dtype}", expected="classes or numbers")
    if y.is_floating_point():
        if not bool(y.isfinite().all()):
            raise InputError(
                name, "labels", found="targets that are not finite", expected="finite numbers"
            )
        return y.float()
    y = y.long()
    if y.ndim == 1 and bool((y < 0).any()):
        raise InputError(name, "labels", found=f"class {int(y.min())}", expected="0 or more")
    return y
