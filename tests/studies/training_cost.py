"""Time per step of chip-aware training: python tests/studies/training_cost.py [--threads N]

All cases run alternately in one process on one batch: vgg5 on 32 × 32 colour images, batch size,
precision and memory format of the recipe `cifar10`, three weight values. A step is forward,
backward and optimizer; augmentation and the teacher are not included. Times are wall-clock times in
seconds, the minimum over several rounds.

If aihwkit-lightning is installed, it is timed on the same network: three weight values with noise
of 15 % of the largest weight, 8-bit inputs and outputs, output noise, tiles of 128 rows. It models
neither wires nor failures. `--compile` adds the plain network compiled by `torch.compile`.
"""

from __future__ import annotations

import argparse
import copy
import time

import torch
from torch import nn

from rramfit.mapping import FACTORS, Peripherals, analog_setup, convert_to_analog
from rramfit.mapping.study.networks import make_network
from rramfit.measurement.virtual.reference_chip import reference_card
from rramfit.streams import torch_stream
from rramfit.training import load_recipe, prepare_training
from rramfit.training.loop.stage import precision
from rramfit_cli.allocator import keep_freed_memory

ROUNDS = 8
LIGHTNING = "aihwkit-lightning"


def lightning(network: nn.Module) -> nn.Module | None:
    """Convert a network with aihwkit-lightning; None if it is not installed."""
    try:
        from aihwkit_lightning.nn.conversion import convert_to_analog as convert
        from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig
        from aihwkit_lightning.simulator.parameters import (
            WeightNoiseInjectionType,
            WeightQuantizationType,
        )
    except ImportError:
        return None
    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = 128
    config.forward.inp_res = config.forward.out_res = 2**8 - 2
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.01
    config.pre_post.input_range.enable = True
    config.modifier.noise_type = WeightNoiseInjectionType.ADD_NORMAL_PER_CHANNEL
    config.modifier.quantization_type = WeightQuantizationType.DISCRETIZE_PER_CHANNEL
    config.modifier.std_dev, config.modifier.res = 0.15, 2
    converted: nn.Module = convert(network, config)
    return converted


def main() -> None:
    """Print the seconds per step, absolute and relative to the plain step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="number of CPU threads")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--compile", action="store_true", help="also time the compiled plain step")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    device = torch.device(given.device)
    stage = load_recipe("cifar10").aware
    batch = stage.batch
    generator = torch_stream(0, "images")
    x = torch.randn(batch, 3, 32, 32, generator=generator).to(device)
    y = torch.randint(10, (batch,), generator=generator).to(device)
    plain = make_network("vgg5", (3, 32, 32), 10).to(device)
    with torch.no_grad():
        for _ in range(20):
            plain(x)  # set BatchNorm statistics

    def aware(*, gated: bool = False, off: tuple[str, ...] = ()) -> nn.Module:
        setup = analog_setup(
            reference_card(gated=gated),
            peripherals=Peripherals(input_coding="bit_serial" if gated else "amplitude"),
            weight_values=3,
            wires_by="estimate",
            factors=[f for f in FACTORS if f not in off],
            device=device,
        )
        analog = convert_to_analog(plain.eval(), setup, inputs=x[:64])
        start = time.perf_counter()
        prepare_training(analog, x[:64], seed=0)
        anchors[len(anchors)] = time.perf_counter() - start
        return analog

    anchors: dict[int, float] = {}
    networks: dict[str, nn.Module] = {
        "plain": plain,
        "aware, wires off": aware(off=("wires",)),
        "aware, rows grounded": aware(),
        "aware, rows gated": aware(gated=True),
    }
    if given.compile:
        compiled: nn.Module = torch.compile(copy.deepcopy(plain))  # type: ignore[assignment]
        networks["plain, compiled"] = compiled
    other = lightning(plain)
    if other is not None:
        networks[LIGHTNING] = other
    x = x.contiguous(memory_format=torch.channels_last)
    steps = {}
    for name, net in networks.items():
        if name != LIGHTNING:  # it needs weights in torch's default order
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, nesterov=True)

        def step(net: nn.Module = net, optimizer: torch.optim.Optimizer = optimizer) -> None:
            with precision(stage, device):
                out = net(x)
            loss = nn.functional.cross_entropy(out.float(), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()

        steps[name] = step
        net.train()
        step()
    best = dict.fromkeys(networks, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"torch {torch.__version__}, {given.device}, {given.threads} threads, batch {batch}")  # noqa: T201
    solved = dict(zip(list(best)[1:], anchors.values(), strict=False))
    for name, seconds in best.items():
        extra = f"   anchors {solved[name]:.1f} s" if name in solved else ""
        print(f"{name:<22}{seconds:7.3f} s{seconds / best['plain']:6.2f} x{extra}")  # noqa: T201


if __name__ == "__main__":
    main()
