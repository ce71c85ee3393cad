"""Networks beside the field reference's, side by side in one run: work, size and seconds a pair.

A network is timed on slices that are on the device already; a model also as the learned method
runs it. `speed` times whole methods on a whole volume.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from SliceInterpLib.errors import MethodError
from SliceInterpLib.interpolators.learned import Learned
from SliceInterpLib.lab.designs import ARCHITECTURES
from SliceInterpLib.lab.peers.reference_unet import ReferenceUNet, tiled
from SliceInterpLib.networks.devices import bf16_is_quick, choose_device, on_device
from SliceInterpLib.networks.prediction import Network, Prediction
from SliceInterpLib.networks.registry import find_model, load_network
from SliceInterpLib.phantom import head_phantom
from SliceInterpLib.table import Column, Table

MATRIX = 512
"""Rows and columns of the slices."""

REFERENCE = "reference U-Net"
"""The row of the reference's network, random weights, over the whole slice at once."""

DEPLOYED = "reference U-Net, 13 crops"
"""The row of the same network as its authors deploy it: see `tiled`."""

IN_A_SCAN = "{}, as in a scan"
"""The row of a model as the learned method runs it on the pairs of a scan, PAIRS of them: side by
side where that is quicker, and in the head's box."""

PAIRS = 8

_How = Callable[[Network, Tensor], Prediction]


def network_speed(
    models: Sequence[str], *, device: str = "auto", runs: int = 7
) -> dict[str, object]:
    """Time trained models and the reference's network on one 512×512 pair of slices.

    The networks take turns, so that whatever else the machine does meets all of them alike. bf16
    where the device is quick in it.

    Args:
        models: names of shipped models or paths of cards (JSON).
        device: 'auto', 'cuda' or 'cpu'.
        runs: how often each is timed, after one run that is not.

    Returns:
        {"device", "precision", "threads", "runs", "networks"}; "networks" is, for each model as it
        was named, then REFERENCE, DEPLOYED and each model IN_A_SCAN: {"seconds" of a pair (median),
        "parameters", "gflop" (2 for each multiply-add of convolutions and matrix products; None in
        a scan), "to_reference" (its seconds over those of REFERENCE)}.

    Raises:
        MethodError: for a model or device that is not there, or a prediction that is not finite.
        ValueError: for less than one run.
    """
    if runs < 1:
        raise ValueError(f"runs must be at least 1, not {runs}")
    where = choose_device(device)
    half = bf16_is_quick(where)
    contenders = _contenders(models)
    rows: dict[str, dict[str, Any]] = {name: _size(*made) for name, made in contenders.items()}
    timed = [_timer(name, *made, where, half) for name, made in contenders.items()]
    for name in models:
        rows[IN_A_SCAN.format(name)] = rows[name] | {"gflop": None}
        timed.append(_timer_in_a_scan(name, where))
    seconds = [[run() for run in timed] for _ in range(1 + runs)][1:]
    for row, median in zip(rows.values(), np.median(seconds, axis=0), strict=True):
        row["seconds"] = float(median)
    for row in rows.values():
        row["to_reference"] = row["seconds"] / rows[REFERENCE]["seconds"]
    return {
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "precision": "bfloat16" if half else "float32",
        "threads": torch.get_num_threads(),
        "runs": runs,
        "networks": rows,
    }


def network_speed_table(result: Mapping) -> Table:
    """What `network_speed` found, below a line that says where."""
    place = result["device"]
    if place == "cpu":
        threads = result["threads"]
        place = f"CPU with {threads} thread{'s' if threads > 1 else ''}"
    return Table(
        (
            Column("network"),
            Column("parameters", style=","),
            Column("gflop", "GFLOP", style=".1f"),
            Column("seconds", style=".4f"),
            Column("to_reference", "of the reference", style=".2f"),
        ),
        [{"network": name, **row} for name, row in result["networks"].items()],
        caption=f"One {MATRIX}×{MATRIX} pair, {place}, {result['precision']}, "
        f"median of {result['runs']} alternated runs:",
    )


def _contenders(models: Sequence[str]) -> dict[str, tuple[Network, _How]]:
    """Every network, in evaluation mode on the CPU, and how it is asked for its prediction."""

    def whole(network: Network, slices: Tensor) -> Prediction:
        return network(slices)

    found = {name: (load_network(find_model(name), ARCHITECTURES), whole) for name in models}
    # Random weights take as long as trained ones: their signal is of ordinary size all the way.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = ReferenceUNet().eval()
    return {**found, REFERENCE: (reference, whole), DEPLOYED: (reference, tiled)}


def _size(network: Network, how: _How) -> dict[str, float]:
    """Parameters, and GFLOP, counted on tensors without data."""
    shadow = copy.deepcopy(network).to("meta")
    slices = torch.empty(1, 2 + 2 * network.context, MATRIX, MATRIX, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        how(shadow, slices)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "gflop": counter.get_total_flops() / 1e9,
    }


def _timer(
    name: str, network: Network, how: _How, device: torch.device, half: bool
) -> Callable[[], float]:
    """A function that predicts a slice of the phantom's head and says how many seconds it took."""
    head = _head(2 + 2 * network.context).to(device)
    network = on_device(network, device)
    return partial(_seconds, name, lambda: how(network, head).hu, device, half)


def _timer_in_a_scan(name: str, device: torch.device) -> Callable[[], float]:
    """The same of a model as the learned method runs it, by the pair."""
    learned = Learned(find_model(name), device.type, known=ARCHITECTURES)
    pairs = PAIRS * [_head(2 + 2 * learned.context)[0].numpy()]

    def predict() -> Tensor:
        return torch.from_numpy(np.stack(list(learned(pairs, 2))))

    return lambda: _seconds(IN_A_SCAN.format(name), predict, device, False) / PAIRS


@cache
def _head(slices: int) -> Tensor:
    """(1, slices, MATRIX, MATRIX) HU float32 from the middle of the phantom."""
    hu = head_phantom(slices=slices, matrix=MATRIX).volume.hu
    return torch.from_numpy(hu.astype(np.float32))[None]


@torch.inference_mode()
def _seconds(name: str, predict: Callable[[], Tensor], device: torch.device, half: bool) -> float:
    _wait(device)
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        hu = predict()
    _wait(device)
    seconds = time.perf_counter() - started
    if not hu.isfinite().all():
        raise MethodError(f"'{name}' predicts values that are not finite.")
    return seconds


def _wait(device: torch.device) -> None:
    """Until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
