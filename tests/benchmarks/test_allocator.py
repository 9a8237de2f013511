"""Gain from keeping freed memory: a plain training step of vgg5, in a separate process.

    python -m pytest tests/benchmarks/test_allocator.py -q --benchmark-json=allocator.json

Batches of 128, bf16, channels last. Each time is the median of 20 steps; `extra_info` has their
ratio.
"""

import subprocess
import sys

STEP = """
import time
import torch
from rramfit.mapping.study.networks import make_network
{keep}
net = make_network("vgg5", (3, 32, 32), 10).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
x = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
y = torch.randint(10, (128,))
times = []
for _ in range(20):
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(out.float(), y).backward()
    optimizer.step()
    times.append(time.perf_counter() - start)
print(sorted(times)[len(times) // 2])
"""
KEEP = "from rramfit_cli.allocator import keep_freed_memory; keep_freed_memory()"


def step(keep: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", STEP.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_kept_memory(benchmark):
    kept = benchmark.pedantic(step, args=(KEEP,), rounds=1)
    without = step("")
    benchmark.extra_info |= {"kept_s": kept, "default_s": without, "ratio": kept / without}
    assert kept < without
