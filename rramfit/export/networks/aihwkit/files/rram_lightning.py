"""A measured model card for aihwkit-lightning 2: the configuration of hardware-aware training.

Weights get normal noise while training, relative to the largest weight of each output; inputs and
outputs are quantised. Evaluation has no noise of the cells: export the trained network with
`aihwkit_lightning.nn.export.export_to_aihwkit`, and program it with the card's export for aihwkit.
"""

import json
from pathlib import Path

from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig
from aihwkit_lightning.simulator.parameters import WeightClipType, WeightNoiseInjectionType

__all__ = ["rpu_config"]

OPTIONS = json.loads(Path(__file__).with_name("rram_lightning.json").read_text(encoding="utf-8"))
CLIP_SIGMA = 3.0  # weights beyond three standard deviations of their output are clipped


def rpu_config():
    """Return the configuration for `aihwkit_lightning.nn.conversion.convert_to_analog`."""
    config = TorchInferenceRPUConfig()
    config.forward.inp_res = OPTIONS["inp_res"]
    config.forward.out_res = OPTIONS["out_res"]
    config.forward.out_bound = OPTIONS["out_bound"]
    config.forward.out_noise = OPTIONS["out_noise"]
    config.forward.out_noise_per_channel = True
    config.modifier.noise_type = WeightNoiseInjectionType.ADD_NORMAL_PER_CHANNEL
    config.modifier.std_dev = OPTIONS["training_std"]
    config.clip.type = WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL
    config.clip.sigma = CLIP_SIGMA
    config.mapping.max_input_size = OPTIONS["rows"]
    config.pre_post.input_range.enable = True
    return config
