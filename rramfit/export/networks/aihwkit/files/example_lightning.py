"""Train a small network with the noise of the card in aihwkit-lightning."""

import rram_lightning
import torch
from aihwkit_lightning.nn.conversion import convert_to_analog
from aihwkit_lightning.optim import AnalogOptimizer

torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
analog = convert_to_analog(network, rram_lightning.rpu_config())
optimizer = AnalogOptimizer(torch.optim.AdamW, analog.analog_layers, analog.parameters(), lr=0.01)
inputs = torch.rand(512, 16)
labels = (inputs[:, :8].sum(1) > inputs[:, 8:].sum(1)).long()
for _ in range(150):
    loss = torch.nn.functional.cross_entropy(analog(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
analog.eval()
share = float((analog(inputs).argmax(1) == labels).float().mean())
noise = rram_lightning.OPTIONS["training_std"]
print(f"trained with weight noise of {noise:.3f}: {share:.3f} right")
