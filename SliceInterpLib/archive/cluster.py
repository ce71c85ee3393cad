"""The Dask cluster that works on a batch: processes of this computer, or one that runs already."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from SliceInterpLib.errors import SliceInterpError

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

WORKER_MEMORY = 2 << 30
"""Bytes that one process is reckoned to need: a thin series, its doubled one and libraries."""

TRIES = 2
"""How often a series may end the process that works on it before it is given up."""

_IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""A terminal sends Ctrl-C to all of our processes; the main one ends the others."""


def count_gpus(device: str) -> int:
    """How many CUDA GPUs the learned method may use with this `device`."""
    if device == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def default_workers(series: int, gpus: int) -> int:
    """One process for each GPU, or for each CPU core as far as memory goes; no idle ones.

    Args:
        series: how many there are to do.
        gpus: how many this computer has for us; with 0, the CPU's cores count.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(series, gpus or min(CPU_COUNT, MEMORY_LIMIT // WORKER_MEMORY)))


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of the cluster with that scheduler (tcp://HOST:PORT, tls://HOST:PORT).

    Its workers must see archive and output folder under the same paths, and have SliceInterp.

    Raises:
        SliceInterpError: if it cannot be reached.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # our one line says it
    try:
        client = Client(scheduler)
    except (OSError, TimeoutError, ValueError, TypeError) as problem:
        raise SliceInterpError(
            f"The Dask scheduler '{scheduler}' cannot be reached: {problem}. Give it as "
            "tcp://HOST:PORT, or as tls://HOST:PORT with certificates in Dask's configuration."
        ) from problem
    with client:
        yield client


@contextmanager
def local_cluster(workers: int, gpus: int, scratch: Path) -> Iterator[Client]:
    """A client of processes on this computer, which end with it.

    Processes share the CPU's cores, and the GPUs in turn. They talk by TLS with a key made for the
    occasion: a port without one would take orders from any user of the computer.

    Args:
        workers: how many processes.
        gpus: how many GPUs they share; 0 for none.
        scratch: a folder for Dask's own files.

    Yields:
        The client.
    """
    import dask
    from distributed import Client

    settings = {
        "temporary-directory": str(scratch),
        "distributed.scheduler.allowed-failures": TRIES - 1,
        "distributed.scheduler.worker-saturation": 1.0,  # none waits behind one that may crash
        "distributed.worker.memory.spill": False,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with (
        dask.config.set(settings),
        _processes(workers, gpus) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _processes(workers: int, gpus: int) -> SpecCluster:
    from dask.system import CPU_COUNT
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.security import Security
    from distributed.system import MEMORY_LIMIT

    security = Security.temporary()
    shared = {
        "host": "127.0.0.1",
        "protocol": "tls://",
        "security": security,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",  # Dask always serves HTTP; there without any page
    }
    threads = str(max(1, CPU_COUNT // workers))

    def worker(number: int) -> dict[str, object]:
        environment = {"OMP_NUM_THREADS": threads, "OPENCV_FOR_THREADS_NUM": threads}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = _gpu_names(gpus)[number % gpus]
        options = {
            "nthreads": 1,
            "memory_limit": MEMORY_LIMIT // workers,
            "env": environment,
            "preload": [_IGNORE_CTRL_C],
            "silence_logs": logging.CRITICAL,
        }
        return {"cls": Nanny, "options": shared | options}

    return SpecCluster(
        workers={number: worker(number) for number in range(workers)},
        scheduler={"cls": Scheduler, "options": shared},
        security=security,
        silence_logs=logging.CRITICAL,
    )


def _gpu_names(gpus: int) -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(number) for number in range(gpus)]
