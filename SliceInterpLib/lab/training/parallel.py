"""Several processes that train one network together, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Processes:
    """How many processes there are and which one this is."""

    count: int = 1
    rank: int = 0

    def largest(self, value: float) -> float:
        """The largest of the processes' values, NaN if one is NaN; the same in every process."""
        if self.count == 1:
            return value
        backend = dist.get_backend()
        tensor = torch.tensor([value], device="cuda" if backend == "nccl" else "cpu")
        gathered = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(gathered, tensor)
        return float(torch.cat(gathered).max())


ALONE = Processes()


@contextmanager
def torchrun_processes(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, joined for the duration; one, without torchrun."""
    if "RANK" not in os.environ:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_world_size(), dist.get_rank())
    finally:
        dist.destroy_process_group()
