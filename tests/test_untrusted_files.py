"""Checkpoints, data sets, cards and circumstances that are not what they claim to be."""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from rramfit.card import load_card
from rramfit.errors import CardError, CheckpointError, InputError, RramfitError
from rramfit.mapping.layers.tensor_files import load_tensors
from rramfit.mapping.study.datasets import load_dataset
from rramfit.provenance import result_time, sha256_of


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_runs_no_code(tmp_path):
    ran, path = tmp_path / "ran", tmp_path / "a.pt"
    for save in (torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))):
        save({"a": Payload(ran)}, path)
        with pytest.raises(CheckpointError):
            load_tensors(path, expected="a network")
        assert not ran.exists()


def test_a_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    weight = torch.arange(600, dtype=torch.float32)
    torch.save({"a": weight}, path)
    data = path.read_bytes()
    at = data.index(weight.numpy().tobytes())
    for offset in (0, 999, 2399):
        flipped = bytearray(data)
        flipped[at + offset] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(CheckpointError, match="damaged"):
            load_tensors(path, expected="a network")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar_pickles_run_no_code(tmp_path, protocol):
    ran = tmp_path / "ran"
    images = np.zeros((2, 3072), np.uint8)
    for batch in (
        {b"data": images, b"labels": [1, Payload(ran)]},
        {b"data": images.astype(object), b"labels": [1, 2]},
        {b"data": images, b"labels": [1, 10]},
        {b"data": images, b"labels": [1]},
        [1, 2],
    ):
        for k in range(1, 6):
            (tmp_path / f"data_batch_{k}").write_bytes(pickle.dumps(batch, protocol))
        (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol))
        with pytest.raises(InputError):
            load_dataset(tmp_path)
        assert not ran.exists()


def test_a_gzip_file_that_expands_without_end_is_cut(tmp_path):
    header = b"\x00\x00\x08\x03" + (3).to_bytes(4, "big") + (2).to_bytes(4, "big") * 2
    raw = io.BytesIO()
    with gzip.open(raw, "wb") as f:
        f.write(header)
        for _ in range(64):
            f.write(bytes(2**20))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(raw.getvalue())
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(raw.getvalue())
    with pytest.raises(InputError, match="found more bytes, expected 12"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"schema_version": "1.1", "name": "\\ud800"}',
        '{"schema_version": "1.1", "name": "a\\u001b[2J"}',
        '{"schema_version": "1.1", "line": 1e999}',
        '{"schema_version": ' + "9" * 5000 + "}",
        '{"schema_version": "1.1", "levels": [1e400, {"a": 1e400}]}',
    ],
    ids=["deep", "surrogate", "escape", "infinite", "long", "huge"],
)
def test_hostile_cards_are_one_printable_sentence(tmp_path, text):
    path = tmp_path / "a.card.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CardError) as raised:
        load_card(path)
    assert str(raised.value).isprintable()


def test_a_matrix_of_a_card_is_square(repo, tmp_path):
    from rramfit.card.canonical import card_digest

    content = json.loads((repo / "fits/reference-1.0.0.card.json").read_text(encoding="utf-8"))
    content["variation_correlation"][0] = [1.0]
    content["digest"] = card_digest(content)
    path = tmp_path / "a.card.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CardError, match=r"variation_correlation: .*rows"):
        load_card(path)


def test_an_input_that_is_removed_is_an_error(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for work in (sha256_of, lambda p: result_time([p])):
        with pytest.raises(InputError, match="unchanged until the result is written"):
            work(tmp_path / "gone.h5")


def test_the_epoch_must_be_a_number(tmp_path, monkeypatch):
    for text in ("soon", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        with pytest.raises(RramfitError, match="SOURCE_DATE_EPOCH"):
            result_time([tmp_path])


def test_a_file_name_that_is_not_utf_8(tmp_path):
    from rramfit.measurement import synthesize, write_measurement
    from rramfit.measurement.virtual.cards import random_card

    path = tmp_path / os.fsdecode(b"chip\xff\n.h5")
    chip = synthesize(random_card(5, levels=2, array=(12, 10)), sweeps=4, seed=1)
    write_measurement(chip, path)
    code = "from rramfit_cli.main import main; main()"
    command = [sys.executable, "-c", code, "characterize", str(path), "--no-report"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 4), done.stderr
    assert load_card(tmp_path / "chip\\udcff .card.json").name == "chip\\udcff "
