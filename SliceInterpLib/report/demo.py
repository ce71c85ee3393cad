"""The demo: a head is doubled, measured and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from SliceInterpLib.evidence.scan_check import check_scan, check_table
from SliceInterpLib.files.writing import write_volume
from SliceInterpLib.head_box import has_full_range
from SliceInterpLib.interpolators import make_interpolator, usable_interpolators
from SliceInterpLib.report.montage import save_montage
from SliceInterpLib.upsampling import upsample
from SliceInterpLib.volume import Volume

COMPARED = ("linear", "cubic", "optical-flow", "learned")

FILES = ("doubled.nrrd", "montage.png", "table.md")
"""What a demo writes."""


def make_demo(
    volume: Volume,
    name: str,
    folder: Path,
    *,
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write a doubled head, a montage and a table of methods.

    Args:
        volume: the head.
        name: what it is called in the table and the montage.
        folder: made if need be; files of an earlier demo in it are replaced.
        device: where networks run.
        say: told what is being done.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned = make_interpolator("learned", device=device)
    say("Doubling with the network…")
    doubled = upsample(volume, learned)
    say("Once more, to four times as many slices…")
    fourfold = upsample(volume, learned, factor=4)
    columns = {
        "original": volume,
        "linear ×2": upsample(volume, make_interpolator("linear")),
        "learned ×2": doubled,
        "learned ×4": fourfold,
    }
    files = [folder / name for name in FILES]
    write_volume(doubled, files[0], overwrite=True)
    save_montage(
        files[1],
        columns,
        _point_of_interest(doubled),
        note=f"{name}. Synthetic slices by SliceInterp; for research use only.",
    )
    say(f"Picture written: {files[1]}")
    say("Hiding each acquired slice in turn and predicting it…")
    result = check_scan(volume, usable_interpolators(COMPARED, device=device))
    files[2].write_text(
        f"# {name}: every inner slice with a head hidden and predicted from its neighbours\n\n"
        "The neighbours of a hidden slice lie twice the real gap apart, so the figures are "
        "conservative. PSNR and SSIM are taken on the window −20…107 HU; slices are numbered "
        "from 1.\n\n"
        f"{check_table(result).markdown()}\n",
        encoding="utf-8",
    )
    return files


def _point_of_interest(doubled: Volume) -> tuple[float, float, float]:
    """LPS mm of a point in a synthetic slice, 25 mm to the left of the middle, beside the falx."""
    slices = doubled.slices
    tissue = -300 if has_full_range(slices) else 0
    k = int(np.flatnonzero(doubled.synthetic)[doubled.synthetic.sum() // 2])
    rows, columns = np.nonzero(slices[k] > tissue)
    middle = [np.median(rows), np.median(columns)] if rows.size else [0, 0]
    x, y, z = doubled.places(np.array([k, *middle]))[0] + [25.0, 0.0, 0.0]
    return float(x), float(y), float(z)
