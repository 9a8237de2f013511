"""Plain and chip-aware training under torchrun; every process writes its results."""

import json
import sys
from pathlib import Path

import torch

from rramfit.mapping import analog_setup
from rramfit.mapping.study.datasets import Dataset, load_dataset
from rramfit.mapping.study.networks import make_network
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.training import Run, process_group, train_aware, train_stage
from rramfit.training.forward.preparation import trained_forwards
from rramfit.training.loop.recipe import AwareStage, PlainStage


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    digits = load_dataset("digits")
    data = Dataset(
        name="few",
        train_images=digits.train_images[:128],
        train_labels=digits.train_labels[:128],
        test_images=digits.test_images[:20],
        test_labels=digits.test_labels[:20],
        classes=10,
    )
    with process_group() as rank:
        net = make_network("mlp", data.shape, 10)
        train_stage(net, data, PlainStage(epochs=2, batch=32, rate=0.05), Run(rank=rank))
        plain = [float(p.detach().double().sum()) for p in net.parameters()]
        setup = analog_setup(reference_card(), tile=(64, 32), wires_by="estimate")
        stage = AwareStage(epochs=1, batch=32, rate=0.01, bn_recalibration_images=32)
        trained = train_aware(net, setup, data, stage, Run(stage="aware", rank=rank))
        _, layer, forward = next(trained_forwards(trained.analog))
        cells = forward.effective(layer.analog.matrix, layer.weight).detach()
        results = {
            "rank": [rank.index, rank.world],
            "plain": plain,
            "aware": [float(p.detach().double().sum()) for p in trained.analog.parameters()],
            "cells": float(cells.sum()),
        }
        (folder / f"{rank.index}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
