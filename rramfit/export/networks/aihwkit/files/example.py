"""Put a small network on cells of the card in aihwkit, and let it age."""

import rram_aihwkit
import torch
from aihwkit.nn.conversion import convert_to_analog

torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
analog = convert_to_analog(network, rram_aihwkit.rpu_config()).eval()
inputs = torch.rand(200, 64)
torch.set_grad_enabled(False)
ideal = network(inputs)
analog.program_analog_weights()
for time in (0.0, 3600.0, 86400.0):
    if time:
        analog.drift_analog_weights(time)
    error = (analog(inputs) - ideal).pow(2).mean().sqrt() / ideal.std()
    print(f"after {time:6.0f} s: error of the outputs {100 * float(error):.0f} % of their std")
