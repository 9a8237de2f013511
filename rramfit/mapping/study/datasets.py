"""Data sets of labelled images.

digits    scikit-learn's 1,797 handwritten digits of 8 × 8 pixels; every fifth is a test image
CIFAR-10  the official pickles, `data_batch_1` … `data_batch_5` and `test_batch`, in a folder
MNIST     and data sets of the same format (Fashion-MNIST): idx files, gzipped or not, in a folder

Images are float32 (sample, channel, height, width), from 0 to 1. CIFAR-10 images are normalized
per channel to mean 0 and standard deviation 1 by the constants below, so they are signed.
"""

from __future__ import annotations

import gzip
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rramfit.errors import InputError

__all__ = ["Dataset", "load_dataset"]

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2470, 0.2435, 0.2616)
"""Mean and standard deviation per channel of the 50,000 training images; the usual constants."""

TEST_EVERY = 5

_IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_IDX_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels for training and testing."""

    name: str
    train_images: Tensor  # (sample, channel, height, width)
    train_labels: Tensor  # (sample,) int64
    test_images: Tensor
    test_labels: Tensor
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        c, h, w = self.train_images.shape[1:]
        return int(c), int(h), int(w)


def load_dataset(source: str | Path = "digits") -> Dataset:
    """Load a data set by name or folder.

    Raises
    ------
    InputError
        If the folder holds neither format, or one of its files is invalid.

    Examples
    --------
    >>> data = load_dataset("digits")
    >>> data.shape, len(data.train_labels), len(data.test_labels)
    ((1, 8, 8), 1437, 360)
    """
    if str(source) == "digits":
        return _digits()
    folder = Path(source)
    for inner in (folder, folder / "cifar-10-batches-py"):
        if (inner / "test_batch").is_file():
            return _cifar(inner)
    if _idx_file(folder, _IDX_TEST[0]) is not None:
        return _idx(folder)
    raise InputError(
        folder,
        "folder",
        found="neither test_batch nor t10k-images-idx3-ubyte",
        expected="the CIFAR-10 pickles or MNIST idx files",
        remedy="give the folder that holds these files, or `digits`",
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


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler for arrays, numbers, strings and containers only; it runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
        if (module, name) not in known:
            msg = f"an object {module}.{name}, which is not part of CIFAR-10"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cifar(folder: Path) -> Dataset:
    def batch(name: str) -> tuple[NDArray[np.uint8], list[int]]:
        path = folder / name
        try:
            with path.open("rb") as f:
                content = _PlainUnpickler(f, encoding="bytes").load()
            images = np.asarray(content[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            return images, [int(x) for x in content[b"labels"]]
        except (OSError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as e:
            raise InputError(
                path, "file", found=str(e), expected="an official CIFAR-10 batch"
            ) from None

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
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    axes = raw[3] if len(raw) > 3 else 0
    if raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * axes:
        raise InputError(path, "header", found=raw[:4].hex(), expected="an idx header for uint8")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    data = np.frombuffer(raw, np.uint8, offset=4 + 4 * axes)
    if data.size != int(np.prod(shape)):
        raise InputError(
            path, "data", found=f"{data.size} bytes", expected=f"{int(np.prod(shape))}"
        )
    return data.reshape(shape)


def _idx(folder: Path) -> Dataset:
    parts = [_read_idx(folder, name) for name in (*_IDX_TRAIN, *_IDX_TEST)]
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
