"""The report on one scan: a single HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from SliceInterpLib.errors import MethodError
from SliceInterpLib.evidence.noise_tables import noise_table
from SliceInterpLib.evidence.scan_check import check_table
from SliceInterpLib.fineness import Factor
from SliceInterpLib.grids import upright
from SliceInterpLib.interpolators import make_interpolator
from SliceInterpLib.report import curves, tables
from SliceInterpLib.report.findings import Findings, examine
from SliceInterpLib.report.headlines import headlines
from SliceInterpLib.report.orientation import PatientOrder
from SliceInterpLib.report.pictures import DIFFERENCE, ERROR, Layer, make_montage
from SliceInterpLib.volume import Volume

_FOLDER = Path(__file__).parent


def make_report(
    volume: Volume,
    *,
    method: str = "learned",
    model: str | None = None,
    device: str = "auto",
    classical: str = "linear",
    factor: Factor = 2,
    allow_thin: bool = False,
    seeds: Sequence[Sequence[float]] = (),
    header: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
    cancelled: Callable[[], bool] | None = None,
) -> str:
    """Upsample a scan, measure the result on the scan itself, and tell it as an HTML page.

    The page is complete in itself: pictures, style and script are in it, and it forbids itself the
    network. It works from the keyboard, without a script (one cut in each direction) and on paper.
    Without a header it tells nothing of who was scanned; but its pictures show as much of the face
    as the scan does.

    Args:
        volume: as it was acquired.
        method: the one to report on, as `make_interpolator` takes it.
        model: of the learned method, likewise.
        device: where networks run, likewise.
        classical: the method to compare with.
        factor: as `upsample` takes it.
        allow_thin: as `upsample` takes it.
        seeds: points in a hematoma to measure, mm, LPS.
        header: what to tell of the scan's header, by title; nothing in it is taken for markup.
        say: told what is being done.
        cancelled: asked again and again.

    Returns:
        The page.

    Raises:
        MethodError: for methods that cannot run or are the same.
        VolumeError: for a volume that cannot be doubled or lies too obliquely for views.
        Cancelled: as soon as `cancelled()` is true.
    """
    if method == classical:
        raise MethodError(f"'{method}' cannot be compared with itself. Choose another method.")
    PatientOrder.of(volume)  # refused before the long run, not after it
    findings = examine(
        volume,
        make_interpolator(method, model=model, device=device),
        make_interpolator(classical),
        factor=factor,
        allow_thin=allow_thin,
        seeds=seeds,
        say=say,
        cancelled=cancelled,
    )
    say("Drawing…")
    return _page(findings, header or {})


def _page(findings: Findings, header: Mapping[str, str]) -> str:
    doubled = upright(findings.doubled)
    layers = _layers(findings, doubled)
    montage = make_montage(layers, doubled)
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    page = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    return page.render(
        style=(_FOLDER / "report.css").read_text(encoding="utf-8"),
        script=script,
        # No other script runs, should one get in.
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        findings=findings,
        headlines=headlines(findings),
        layers=layers,
        montage=montage,
        data=asdict(montage),
        tables=tables,
        check_table=check_table,
        noise_table=noise_table,
        curves=curves,
        header=header,
    )


def _layers(findings: Findings, upright_doubled: Volume) -> list[Layer]:
    """The columns of the montage, from left to right, made upright as they are drawn."""
    name, other = findings.method.name, findings.classical.name
    doubled, plain = findings.doubled, findings.plain
    times = f"×{doubled.provenance['factor']}"
    difference = np.subtract(doubled.slices, plain.slices, dtype=np.float32)
    layers = [
        Layer("original", upright(findings.volume)),
        Layer(f"{other} {times}", upright(plain)),
        Layer(f"{name} {times}", upright_doubled),
        Layer(
            f"{name} − {other}", upright(replace(doubled, slices=difference), fill=0.0), DIFFERENCE
        ),
    ]
    if findings.expected_error is not None:
        layers.append(Layer("expected error", upright(findings.expected_error), ERROR))
    return layers
