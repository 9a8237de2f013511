"""Data of yours: folders of images, `.npz`, module:callable; and files that are none of these."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from rramfit.errors import InputError, MappingError
from rramfit.mapping.study.datasets import load_dataset
from rramfit.mapping.study.networks import make_network


def write_image(path, value, *, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def test_a_folder_of_class_folders(tmp_path):
    for k, name in enumerate(("cat", "dog", "eel")):
        for i in range(7):
            write_image(tmp_path / name / f"{i}.png", (10 * i, 20 * k, 0))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    data = load_dataset(tmp_path)
    assert (data.shape, data.classes, data.name) == ((3, 4, 6), 3, tmp_path.name)
    assert (len(data.train_labels), len(data.test_labels)) == (15, 6)
    assert data.test_labels.bincount().tolist() == [2, 2, 2]  # images 0 and 5 of each
    red = (data.train_images[:, 0, 0, 0] * 255 / 10).round().tolist()
    assert red == [1, 2, 3, 4, 6] * 3
    assert torch.equal(
        (data.train_images[:, 1, 0, 0] * 255 / 20).round(), data.train_labels.float()
    )


def test_separate_folders_for_the_test(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for k, name in enumerate("ab"):
            for i in range(count):
                write_image(tmp_path / part / name / f"{i}.bmp", 100 * k + i, mode="L")
    data = load_dataset(tmp_path)
    assert (data.shape, len(data.train_labels), len(data.test_labels)) == ((1, 4, 6), 6, 4)
    write_image(tmp_path / "val" / "c" / "0.png", 1, mode="L")
    with pytest.raises(InputError, match="a class without training images"):
        load_dataset(tmp_path)


def test_images_that_do_not_fit_are_refused(tmp_path):
    for name in "ab":
        for i in range(3):
            write_image(tmp_path / name / f"{i}.png", 0)
    write_image(tmp_path / "b" / "2.png", 0, size=(5, 4))
    with pytest.raises(InputError, match=r"b/2.png: size: found 5 × 4 pixels, expected 6 × 4"):
        load_dataset(tmp_path)
    (tmp_path / "b" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"broken" * 9)
    with pytest.raises(InputError, match=r"b/2.png: found"):
        load_dataset(tmp_path)
    (tmp_path / "b" / "2.png").unlink()
    assert len(load_dataset(tmp_path).train_labels) == 3
    write_image(tmp_path / "b" / "2.png", 0, size=(6000, 3000), mode="1")  # 2 kB of file
    with pytest.raises(InputError, match=r"b/2.png: size: found 6000 × 3000 pixels"):
        load_dataset(tmp_path)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_arrays_of_npz(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)
    labels = np.arange(20) % 4
    data = load_dataset(save(tmp_path / "a.npz", images=images, labels=labels))
    assert (data.shape, data.classes, data.metric) == ((3, 5, 7), 4, "accuracy")
    assert (len(data.train_labels), len(data.test_labels)) == (16, 4)
    assert data.test_images[1].numpy() == pytest.approx(images[5].transpose(2, 0, 1) / 255)
    four = {
        "x_train": images[:15, ..., 0],
        "y_train": labels[:15],
        "x_test": images[15:, ..., 0],
        "y_test": labels[15:],
    }
    data = load_dataset(save(tmp_path / "b.npz", **four))
    assert (data.shape, len(data.train_labels), len(data.test_labels)) == ((1, 5, 7), 15, 5)


def test_the_kind_of_labels_is_the_task(tmp_path):
    x = np.linspace(0, 1, 60).reshape(20, 3)
    data = load_dataset(save(tmp_path / "a.npz", images=x, labels=x @ np.ones((3, 2))))
    assert (data.metric, data.output_shape, data.shape) == ("rmse", (2,), (3,))
    data = load_dataset(save(tmp_path / "a.npz", images=x, labels=x[:, 0]))
    assert (data.metric, data.output_shape) == ("rmse", (1,))
    tokens = np.arange(60).reshape(20, 3)
    data = load_dataset(save(tmp_path / "a.npz", images=tokens, labels=tokens + 1))
    assert (data.metric, data.output_shape) == ("perplexity", (3, 61))
    assert data.train_images.dtype == torch.int64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((4, 2))}, "arrays: found images"),
        ({"images": np.zeros((4, 2)), "labels": np.zeros(3, int)}, "4 inputs and 3 labels"),
        ({"images": np.full((4, 2), np.nan), "labels": np.zeros(4, int)}, "not finite"),
        ({"images": np.zeros((4, 2)), "labels": np.full(4, np.inf)}, "targets that are not"),
        ({"images": np.zeros((4, 2)), "labels": -np.ones(4, int)}, "class -1"),
        ({"images": np.zeros((4, 2)), "labels": np.full(4, 10**9)}, "class 1000000000"),
        ({"images": np.zeros(4), "labels": np.zeros(4, int)}, r"shape \(4,\)"),
        ({"images": np.zeros((0, 2)), "labels": np.zeros(0, int)}, "at least two"),
    ],
)
def test_arrays_that_are_no_data_are_refused(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        load_dataset(save(tmp_path / "a.npz", **arrays))


def test_hostile_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(InputError, match=r"a.npz: found"):
        load_dataset(path)
    objects = np.array([{"a": 1}, None], dtype=object)
    with pytest.raises(InputError, match="allow_pickle"):
        load_dataset(save(path, images=objects, labels=objects))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
        )
        archive.writestr("images.npy", head.getvalue() + bytes(1000))
    with pytest.raises(InputError, match=r"a.npz"):
        load_dataset(path)


MODULE = """
import numpy as np
import torch
from torch.utils.data import TensorDataset, IterableDataset

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2

def pair(): return X, Y
A, B = torch.tensor(X), torch.tensor(Y)
def four(): return A[:8], B[:8], A[8:], B[8:]
def dataset(): return TensorDataset(torch.tensor(X), torch.tensor(Y))
def two(): return dataset(), dataset()
def text(): return "text"
def three(): return X, Y, X
def broken(): raise RuntimeError("no disk")
def uneven(): return [(X[0], 0), (X[1, :2], 1)], Y
class Ragged(torch.utils.data.Dataset):
    def __len__(self): return 3
    def __getitem__(self, i): return X[0, : i + 1], i
def ragged(): return Ragged()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "given_by_user.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "train", "test"), [("pair", 8, 2), ("four", 8, 2), ("dataset", 8, 2), ("two", 10, 10)]
)
def test_data_of_a_callable(name, train, test):
    data = load_dataset(f"given_by_user:{name}")
    assert (len(data.train_labels), len(data.test_labels)) == (train, test)
    assert (data.shape, data.classes) == ((4,), 2)
    made = make_network("mlp", data.shape, data.classes, data=data)
    assert made(data.test_images).shape == (test, 2)
    with pytest.raises(MappingError, match="'vgg5' maps images to one vector"):
        make_network("vgg5", data.shape, data.classes, data=data)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "returned str"),
        ("three", "returned ndarray, ndarray, ndarray"),
        ("broken", "RuntimeError: no disk"),
        ("uneven", "returned list, ndarray"),
        ("ragged", "pairs"),
        ("absent", "AttributeError"),
    ],
)
def test_other_results_of_a_callable_are_refused(name, message):
    with pytest.raises(MappingError, match=message):
        load_dataset(f"given_by_user:{name}")
