"""Rank of a process in data-parallel training under torchrun; without torchrun, a single process.

Every rank takes its share of each batch, and DistributedDataParallel averages the gradients. Each
process has its own GPU if the training is on GPUs. Then the processes communicate by NCCL,
otherwise by Gloo.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from rramfit.errors import TrainingError

__all__ = ["Rank", "device_by_name", "process_group"]


@dataclass(frozen=True, slots=True)
class Rank:
    """Rank of a process and number of processes."""

    index: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.index == 0

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch; parts have equal size, a remainder is dropped.

        Examples
        --------
        >>> Rank(1, 2).share(torch.arange(5)).tolist()
        [1, 3]
        """
        return batch[self.index : len(batch) // self.world * self.world : self.world]

    def total(self, x: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.world > 1:
            torch.distributed.all_reduce(x)
        return x


def device_by_name(name: str) -> torch.device:
    """Return the device of this process: "cpu", "cuda", or "auto" for CUDA where it exists.

    Under torchrun, each process gets the GPU of its local rank.

    Raises
    ------
    TrainingError
        If there is no CUDA device, or fewer than processes.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    if not count:
        msg = "no CUDA device was found; use the device cpu or auto"
        raise TrainingError(msg)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= count:
        msg = (
            f"process {local} of this machine has no GPU; {count} were found. Start fewer processes"
        )
        raise TrainingError(msg)
    return torch.device("cuda", local)


@contextmanager
def process_group(device: str | torch.device = "cpu") -> Iterator[Rank]:
    """Join the process group of torchrun; without torchrun, do nothing.

    Parameters
    ----------
    device : str or torch.device
        Where this process trains.
    """
    if "RANK" not in os.environ:
        yield Rank()
        return
    on = torch.device(device)
    if on.type == "cuda":
        torch.cuda.set_device(on)
    torch.distributed.init_process_group("nccl" if on.type == "cuda" else "gloo")
    try:
        yield Rank(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
