"""Run time of evaluation: vgg5 on images of CIFAR-10 size, relative to the float32 forward pass.

    python -m pytest tests/benchmarks/test_evaluation_speed.py -q --benchmark-json=evaluation.json

10,000 random images in batches of 250, an untrained network (with fewer `--images`, drawing and
solving the chip have a larger share). One chip is drawn and programmed, its wires are solved or
estimated, and all images run on it, three times in turn with the plain forward pass of the same
images. `extra_info` in the JSON file has the ratio of the shortest times.

All factors are on. Limits on the reference chip, with the extra `fast`: 2.5 times the plain forward
pass with the estimate, 10 times with exact wires. Two cases have no limit. The virtual chip at one
hour has every property of a card: nonlinear cells and read noise need two more products and a
random number for each conversion. The reference chip with gated rows and 8-bit inputs sent bit by
bit, on a tenth of the images, needs eight products and eight conversions instead of one.

Other simulators run the same network: CrossSim without wires (programming error of 15 %, 8-bit
converters, tiles of 128 x 128) on all images, and with wires on one image (it iterates for each
vector); aihwkit-lightning, which has no chips and no wires (noise on outputs, 8-bit converters; its
noise on weights is for training only). Each is skipped if it is not installed; a clone of CrossSim
on PYTHONPATH is enough.
"""

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from rramfit.card import load_card
from rramfit.mapping import FACTORS, Peripherals, analog_setup, convert_to_analog, program
from rramfit.mapping.study.networks import make_network
from rramfit_cli.allocator import keep_freed_memory

CARDS = {"reference": "jetcas-reference-1.0.0", "every factor": "virtual-1.0.0"}
LIMITS = {"estimate": 2.5, "exact": 10.0}
AGE = 3600.0  # [s]
BATCH = 250
TURNS = 3
SHORT = 1000  # with fewer images the ratio does not represent that of 10,000


@pytest.fixture(scope="module")
def images(request):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(request.config.getoption("--images"), 3, 32, 32, generator=generator)


@pytest.fixture(scope="module")
def network():
    keep_freed_memory()  # as the command does
    return make_network("vgg5", (3, 32, 32), 10).eval()


def run(model: nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        for some in images.split(BATCH):
            model(some)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def relative_to_plain(benchmark, network, images, work, *, turns: int = TURNS) -> float:
    """Time `work` and plain forward passes in turn; return the ratio of the shortest times."""
    run(network, images[:BATCH])
    plain = []
    benchmark.pedantic(
        work, setup=lambda: plain.append(seconds(lambda: run(network, images))), rounds=turns
    )
    ratio = benchmark.stats.stats.min / min(plain)
    benchmark.extra_info |= {
        "images": len(images), "threads": torch.get_num_threads(), "plain_s": min(plain),
        "ratio": ratio,
    }  # fmt: skip
    return ratio


@pytest.mark.parametrize("wires", LIMITS)
@pytest.mark.parametrize("card", CARDS)
def test_one_chip(benchmark, repo, network, images, card, wires):
    """All factors on: one chip is drawn, and all images run on it."""
    setup = analog_setup(
        load_card(repo / f"fits/{CARDS[card]}.card.json"),
        wires_by=wires,
        factors=FACTORS,
        time=AGE if card == "every factor" else 0.0,
    )
    analog = convert_to_analog(network, setup, inputs=images[:64]).eval()
    run(analog, images[:8])
    programming = []

    def evaluate():
        programming.append(seconds(lambda: program(analog, seed=0, index=1)))
        run(analog, images)

    ratio = relative_to_plain(benchmark, network, images, evaluate)
    benchmark.extra_info["programming_s"] = programming[0]
    if card == "reference" and len(images) >= SHORT:
        assert ratio <= LIMITS[wires]


def test_bit_serial_inputs(benchmark, repo, network, images):
    """All factors on, rows gated; no limit."""
    setup = analog_setup(
        load_card(repo / "fits/jetcas-reference-gated-1.0.0.card.json"),
        wires_by="estimate",
        peripherals=Peripherals(input_coding="bit_serial"),
    )
    some = images[: max(1, len(images) // 10)]
    analog = convert_to_analog(network, setup, inputs=images[:64]).eval()
    program(analog, seed=0, index=1)
    run(analog, images[:8])
    relative_to_plain(benchmark, network, some, lambda: run(analog, some))


@pytest.mark.parametrize("wires", [False, True], ids=["no wires", "wires"])
def test_crosssim(benchmark, network, images, wires):
    simulator = pytest.importorskip("simulator")
    from simulator.algorithms.dnn.torch.convert import from_torch
    from simulator.backend import ComputeBackend

    ComputeBackend(use_gpu=False)
    p = simulator.CrossSimParameters()
    p.core.style = "BALANCED"
    p.core.rows_max = p.core.cols_max = 128
    p.xbar.device.Rmin, p.xbar.device.Rmax = 5e3, 30e3
    p.xbar.device.programming_error.enable = True
    p.xbar.device.programming_error.model = "NormalProportionalDevice"
    p.xbar.device.programming_error.magnitude = 0.15
    p.xbar.adc.mvm.model, p.xbar.adc.mvm.bits = "QuantizerADC", 8
    p.xbar.adc.mvm.adc_range_option = "MAX"
    p.xbar.dac.mvm.model, p.xbar.dac.mvm.bits = "QuantizerDAC", 8
    p.xbar.array.parasitics.enable = wires
    p.xbar.array.parasitics.Rp_row = p.xbar.array.parasitics.Rp_col = 0.5
    some = images[:1] if wires else images

    def evaluate():
        run(from_torch(network, p), some)

    relative_to_plain(benchmark, network, some, evaluate, turns=1)


def test_aihwkit_lightning(benchmark, network, images):
    pytest.importorskip("aihwkit_lightning")
    from aihwkit_lightning.nn.conversion import convert_to_analog as convert
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = 128
    config.forward.inp_res = config.forward.out_res = 2**8 - 2
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.01
    config.pre_post.input_range.enable = True
    relative_to_plain(
        benchmark, network, images, lambda: run(convert(network, config).eval(), images)
    )
