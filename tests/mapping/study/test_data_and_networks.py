"""Data set formats, networks by name, checkpoints, and plain training."""

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch
from torch import nn

from rramfit.errors import CheckpointError, InputError, MappingError
from rramfit.mapping.study.datasets import CIFAR_MEAN, CIFAR_STD, load_dataset
from rramfit.mapping.study.networks import NETWORKS, load_weights, make_network
from rramfit.training import train_plain


def test_digits_are_split():
    data = load_dataset()
    assert data.shape == (1, 8, 8)
    assert len(data.train_labels) + len(data.test_labels) == 1797
    assert 0 <= float(data.train_images.min()) <= float(data.train_images.max()) == 1.0


def write_cifar(folder):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
    labels = rng.integers(0, 10, (6, 4))
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name, x, y in zip(names, images, labels, strict=True):
        with (folder / name).open("wb") as f:
            pickle.dump({b"data": x, b"labels": y.tolist()}, f, protocol=2)
    return images, labels


def test_cifar_pickles(tmp_path):
    inner = tmp_path / "cifar-10-batches-py"
    inner.mkdir()
    images, labels = write_cifar(inner)
    for folder in (tmp_path, inner):
        data = load_dataset(folder)
        assert data.shape == (3, 32, 32)
        assert data.train_labels.tolist() == labels[:5].flatten().tolist()
        pixel = images[5, 2].reshape(3, 32, 32)[1, 4, 7] / 255
        wanted = (pixel - CIFAR_MEAN[1]) / CIFAR_STD[1]
        assert float(data.test_images[2, 1, 4, 7]) == pytest.approx(wanted, rel=1e-5)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    write_cifar(tmp_path)

    class Trap:
        def __reduce__(self):
            return print, ("sprung",)

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Trap(), b"labels": []}))
    with pytest.raises(InputError, match="not part of CIFAR-10"):
        load_dataset(tmp_path)


def write_idx(path, array):
    raw = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    raw += array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def test_idx_files(tmp_path):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (5, 6, 7)), np.array([0, 2, 1, 2, 0])
    for prefix, suffix in (("train", ".gz"), ("t10k", "")):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte{suffix}", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte{suffix}", labels)
    data = load_dataset(tmp_path)
    assert data.shape == (1, 6, 7)
    assert data.classes == 3
    assert data.test_labels.tolist() == labels.tolist()
    assert torch.equal(data.train_images[:, 0], torch.tensor(images).float() / 255)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\x00\x00\x08\x01\x00\x00\x00\x09ab")
    with pytest.raises(InputError, match="expected 9"):
        load_dataset(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="Give the folder"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_networks_take_images(name, shape):
    net, again = (make_network(name, shape, 7, seed=3).eval() for _ in range(2))
    with torch.no_grad():
        out = net(torch.zeros(2, *shape))
        assert out.shape == (2, 7)
        assert torch.equal(out, again(torch.zeros(2, *shape)))


def test_user_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "def wrong():\n    return 3\n"
        "def few():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))\n"
        "def wide():\n    return nn.Sequential(nn.Flatten(), nn.Linear(65, 10))\n"
        "def broken():\n    return {}['key']\n"
    )
    net = make_network("own_net:make", (1, 8, 8), 10)
    assert isinstance(net[1], nn.Linear)
    for name, message in (
        ("own_net:wrong", "returned a int"),
        ("own_net:few", r"returned \(1, 7\); expected 10 outputs for an image \(1, 8, 8\)"),
        ("own_net:wide", "RuntimeError: .*expected 10 outputs"),
        ("own_net:broken", "KeyError: 'key'"),
        ("own_net:none", "no attribute|expected a callable"),
        ("no_such:thing", "No module"),
        ("vgg6", "expected mlp, vgg5, vgg5-wide, vgg7, resnet8"),
    ):
        with pytest.raises(MappingError, match=message):
            make_network(name, (1, 8, 8), 10)


def test_checkpoints(tmp_path):
    net = make_network("mlp", (1, 8, 8), 10, seed=1)
    torch.save(net.state_dict(), tmp_path / "plain.pt")
    torch.save({"model": net.state_dict(), "epoch": 3}, tmp_path / "nested.pt")
    for name in ("plain.pt", "nested.pt"):
        other = make_network("mlp", (1, 8, 8), 10, seed=2)
        load_weights(other, tmp_path / name)
        assert torch.equal(other[1].weight, net[1].weight)
    vgg5 = make_network("vgg5", (1, 8, 8), 10)
    with pytest.raises(CheckpointError, match=r"0.weight missing, not 64 × 1 × 3 × 3 and \d+ oth"):
        load_weights(vgg5, tmp_path / "plain.pt")
    content_of_plain = (tmp_path / "plain.pt").read_bytes()
    for content, message in (
        (b"", "an empty file"),
        (content_of_plain[: len(content_of_plain) // 2], "truncated"),
        (b"no tensors", "torch.save"),
    ):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            load_weights(net, tmp_path / "bad.pt")
    torch.save(net[1].weight, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match=r"a (Tensor|Parameter)"):
        load_weights(net, tmp_path / "bad.pt")
    torch.save(net, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="objects other than tensors"):
        load_weights(net, tmp_path / "bad.pt")
    torch.save({"model": 3}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="found none"):
        load_weights(net, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="no such file"):
        load_weights(net, tmp_path / "nowhere.pt")


def test_plain_training_learns_and_is_reproducible():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 3
    images = torch.rand(200, 1, 2, 2, generator=generator) + labels[:, None, None, None]
    losses = []
    nets = [make_network("mlp", (1, 2, 2), 3) for _ in range(2)]
    for net in nets:
        train_plain(net, images, labels, epochs=20, on_epoch=lambda _, x: losses.append(x))
    assert losses[:20] == losses[20:]
    assert losses[19] < 0.6 * losses[0]
    assert torch.equal(nets[0][1].weight, nets[1][1].weight)
