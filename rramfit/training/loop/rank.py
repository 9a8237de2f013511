"""Rank of a process in data-parallel training under torchrun; without torchrun, a single process.

Every rank takes its share of each batch, and DistributedDataParallel averages the gradients.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rank", "process_group"]


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


@contextmanager
def process_group() -> Iterator[Rank]:
    """Join the process group of torchrun; without torchrun, do nothing."""
    if "RANK" not in os.environ:
        yield Rank()
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Rank(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
