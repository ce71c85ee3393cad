"""The command line as tests call it, and a head for it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from SliceInterpLib.cli import main
from SliceInterpLib.files import write_volume
from SliceInterpLib.phantom import head_phantom

ROOT = Path(__file__).resolve().parents[1]


def in_a_process(*arguments: object) -> subprocess.CompletedProcess:
    """`sliceinterp` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "SliceInterpLib.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


def sliceinterp(*arguments: object) -> subprocess.CompletedProcess:
    """As `in_a_process`, without the second that it takes to start one."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's
            code = stop.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def write_head_file(folder: Path) -> Path:
    """Slices as small as MS-SSIM can be had of, and few."""
    path = folder / "head ct.nii.gz"
    write_volume(head_phantom(matrix=192, pixel_spacing=1.2, slices=10).volume, path)
    return path
