"""Data sets of labelled samples, mostly images.

digits    scikit-learn's 1,797 handwritten digits of 8 × 8 pixels; every fifth is a test image
CIFAR-10  the official pickles, `data_batch_1` … `data_batch_5` and `test_batch`, in a folder
MNIST     and data sets of the same format (Fashion-MNIST): idx files, gzipped or not, in a folder
yours     class folders, `.npz`, `module:callable` (`rramfit.mapping.study.given_data`)

Images are float32 (sample, channel, height, width), from 0 to 1. CIFAR-10 images are normalized
per channel to mean 0 and standard deviation 1 by the constants below, so they are signed.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import math
import pickle
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.errors import InputError
from rramfit.mapping.study.given_data import (
    TEST_EVERY,
    Arrays,
    arrays_by_import,
    arrays_of_folder,
    arrays_of_npz,
    has_class_folders,
)

__all__ = ["Dataset", "load_dataset"]

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2470, 0.2435, 0.2616)
"""Mean and standard deviation per channel of the 50,000 training images; the usual constants."""

MOST_CLASSES = 1_000_000

_LARGEST_BATCH = 2**26  # bytes; an official batch has 31 MB
_LARGEST_IDX = 2**33  # bytes of images or labels

_IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_IDX_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Samples and labels for training and testing.

    Attributes
    ----------
    train_images : (sample, …) tensor
        Images (sample, channel, height, width), other numbers, or tokens (sample, position).
    train_labels : tensor
        Classes (sample,) or tokens (sample, position), int64, or targets of a regression, float32.
    classes : int
        Number of classes or tokens; of a regression, of targets.
    at_least : bool
        Whether there may be more classes than the labels show.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    at_least: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample; of images channels, height and width."""
        return tuple(self.train_images.shape[1:])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a network's output for one sample."""
        if self.train_labels.is_floating_point():
            return tuple(self.train_labels.shape[1:]) or (1,)
        return (*self.train_labels.shape[1:], self.classes)

    @property
    def metric(self) -> str:
        """Name of the usual metric: accuracy, perplexity of tokens, rmse of a regression."""
        if self.train_labels.is_floating_point():
            return "rmse"
        return "accuracy" if self.train_labels.ndim == 1 else "perplexity"


def load_dataset(source: str | Path = "digits") -> Dataset:
    """Load a data set by name, folder, file or ``module:callable``.

    Raises
    ------
    InputError
        If the folder holds none of the formats, or one of its files is invalid.
    MappingError
        If the callable fails, or returns other than data.

    Examples
    --------
    >>> data = load_dataset("digits")
    >>> data.shape, len(data.train_labels), len(data.test_labels)
    ((1, 8, 8), 1437, 360)
    """
    if str(source) == "digits":
        return _digits()
    folder = Path(source)
    if folder.is_file():
        return _of_arrays(folder.name, arrays_of_npz(folder))
    if ":" in str(source) and not folder.exists():
        return _of_arrays(str(source), arrays_by_import(str(source)))
    for inner in (folder, folder / "cifar-10-batches-py"):
        if (inner / "test_batch").is_file():
            return _cifar(inner)
    if _idx_file(folder, _IDX_TEST[0]) is not None:
        return _idx(folder)
    if folder.is_dir() and has_class_folders(folder):
        arrays, classes = arrays_of_folder(folder)
        data = _of_arrays(folder.resolve().name, arrays)
        return dataclasses.replace(data, classes=len(classes), at_least=False)
    raise InputError(
        folder,
        "folder",
        found="neither test_batch nor t10k-images-idx3-ubyte nor class folders"
        if folder.is_dir()
        else "no such folder or file",
        expected="the CIFAR-10 pickles (test_batch), MNIST idx files, or a folder of images for "
        "each class; or a .npz file",
        remedy="give the folder that holds these files, `digits`, or module:callable",
    )


def _of_arrays(name: str, arrays: Arrays) -> Dataset:
    """Return a data set of yours; the number of classes is the one that its labels show."""
    images, labels, test_images, test_labels = arrays
    if labels.is_floating_point():
        classes = math.prod(labels.shape[1:])
    else:
        classes = int(max(labels.max(), test_labels.max())) + 1
        if classes > MOST_CLASSES:
            found, expected = f"class {classes - 1}", f"at most {MOST_CLASSES:,} classes"
            raise InputError(name, "labels", found=found, expected=expected)
    return Dataset(
        name=name,
        train_images=images,
        train_labels=labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=classes,
        at_least=not labels.is_floating_point(),
    )


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.tensor(bunch.images[:, None] / 16.0, dtype=torch.float32)
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    test = torch.arange(len(labels)) % TEST_EVERY == 0
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
    )


class _BatchUnpickler(pickle.Unpickler):
    """Unpickler for arrays of bytes, numbers, texts and containers; it runs no code of a file.

    A pickle names the functions that rebuild its objects. Here the names lead to the functions
    below, and to nothing else.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = _REBUILT_BY.get((module.replace("numpy.core", "numpy._core"), name))
        if found is None:
            msg = f"an object {module}.{name}, which is not part of CIFAR-10"
            raise pickle.UnpicklingError(msg)
        return found


def _empty_array(*_: object) -> NDArray[np.uint8]:
    """Stand for numpy's `_reconstruct`; the shape and the values follow in the pickle."""
    return np.empty(0, np.uint8)


def _byte_type(name: object, *_: object) -> np.dtype[np.uint8]:
    if name not in ("u1", b"u1"):
        msg = f"an array of type {name!r}"
        raise pickle.UnpicklingError(msg)
    return np.dtype(np.uint8)


def _latin1(text: str, *_: object) -> bytes:
    """Stand for `_codecs.encode`, by which protocol 2 stores bytes."""
    return text.encode("latin-1")


_REBUILT_BY: Mapping[tuple[str, str], Any] = {
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument of `_reconstruct`, never called
    ("numpy", "dtype"): _byte_type,
    ("_codecs", "encode"): _latin1,
}


def _cifar(folder: Path) -> Dataset:
    def batch(name: str) -> tuple[NDArray[np.uint8], list[int]]:
        path = folder / name
        try:
            with path.open("rb") as f:
                raw = f.read(_LARGEST_BATCH)
            content = _BatchUnpickler(io.BytesIO(raw), encoding="bytes").load()
            images = np.asarray(content[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            labels = [range(10)[x] for x in content[b"labels"]]
        except Exception as e:  # noqa: BLE001  # a damaged pickle raises whatever it likes
            found = str(e) or type(e).__name__
            expected = "an official CIFAR-10 batch"
            raise InputError(path, "file", found=found, expected=expected) from None
        if len(labels) != len(images):
            found = f"{len(images)} images and {len(labels)} labels"
            raise InputError(path, "file", found=found, expected="one label for each image")
        return images, labels

    train = [batch(f"data_batch_{k}") for k in range(1, 6)]
    test_images, test_labels = batch("test_batch")
    mean, std = (torch.tensor(x)[:, None, None] for x in (CIFAR_MEAN, CIFAR_STD))

    def scaled(images: NDArray[np.uint8]) -> Tensor:
        return (torch.from_numpy(images).float() / 255 - mean) / std

    return Dataset(
        name="CIFAR-10",
        train_images=scaled(np.concatenate([images for images, _ in train])),
        train_labels=torch.tensor([x for _, labels in train for x in labels]),
        test_images=scaled(test_images),
        test_labels=torch.tensor(test_labels),
        classes=10,
    )


def _idx_file(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def _read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    path = _idx_file(folder, name)
    if path is None:
        raise InputError(folder, name, found="no such file", expected="the MNIST idx files")
    wanted = int(name.split("-")[-2].removeprefix("idx"))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as f:
            head = f.read(4)
            axes = head[3] if len(head) == 4 else 0
            sizes = f.read(4 * axes)
            if head[:3] != b"\x00\x00\x08" or len(sizes) < 4 * axes:
                found, expected = (head + sizes)[:4].hex(), "an idx header for uint8"
                raise InputError(path, "header", found=found, expected=expected)
            shape = struct.unpack(f">{axes}I", sizes)
            size = math.prod(shape)
            raw = f.read(min(size, _LARGEST_IDX) + 1)  # no more, whatever a gzip file expands to
    except (OSError, EOFError, zlib.error) as e:
        raise InputError(path, "data", found=str(e), expected="a readable idx file") from None
    if len(raw) != size:
        found = "more bytes" if len(raw) > size else f"{len(raw)} bytes"
        raise InputError(path, "data", found=found, expected=f"{size}, as in the header")
    if axes != wanted:
        raise InputError(path, "header", found=f"{axes} axes", expected=f"{wanted} axes")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _idx(folder: Path) -> Dataset:
    parts = [_read_idx(folder, name) for name in (*_IDX_TRAIN, *_IDX_TEST)]
    counts = [len(x) for x in parts]
    if counts[::2] != counts[1::2] or not all(counts):
        found = f"{counts[0]} and {counts[2]} images, {counts[1]} and {counts[3]} labels"
        raise InputError(folder, "folder", found=found, expected="one label for each image")
    images = [torch.from_numpy(x[:, None].astype(np.float32) / 255) for x in parts[::2]]
    labels = [torch.from_numpy(x.astype(np.int64)) for x in parts[1::2]]
    return Dataset(
        name=folder.name,
        train_images=images[0],
        train_labels=labels[0],
        test_images=images[1],
        test_labels=labels[1],
        classes=int(max(int(x.max()) for x in labels)) + 1,
    )
