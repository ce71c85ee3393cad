"""Coverage-guided fuzzing of the door for files: `make fuzz [FUZZ_SECONDS=60]`.

Whatever bytes a file has, reading it gives a volume or a VolumeError, in bounded time and memory.
The first byte of an input says which suffix the file gets. An input that breaks this is kept, and
its path printed; give the path as an argument to run it again.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["SliceInterpLib", "pydicom"]):
    from SliceInterpLib.errors import VolumeError
    from SliceInterpLib.files import read_volume

from dicom_files import write_enhanced, write_series
from hostile.images import metaimage, nifti, nrrd

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", "")


def main() -> None:
    """Fuzz from good files of each format on, with libFuzzer's options."""
    with tempfile.TemporaryDirectory() as folder:
        place, seeds = Path(folder, "place"), Path(folder, "seeds")
        place.mkdir()
        seeds.mkdir()
        for number, content in enumerate(_seeds(Path(folder))):
            (seeds / str(number)).write_bytes(content)

        def read(data: bytes) -> None:
            _read(place, data)

        limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=20000"]
        kept = f"-artifact_prefix={tempfile.gettempdir()}/sliceinterp-fuzz-"
        given = sys.argv[1:]
        corpus = [] if any(Path(word).is_file() for word in given) else [str(seeds)]
        atheris.Setup([sys.argv[0], *limits, kept, *given, *corpus], read)
        atheris.Fuzz()


def _read(place: Path, data: bytes) -> None:
    path = place / f"scan{SUFFIXES[data[0] % len(SUFFIXES)] if data else ''}"
    path.write_bytes(data[1:])
    try:
        read_volume(path)
    except VolumeError:
        pass
    finally:
        path.unlink()


def _seeds(folder: Path) -> list[bytes]:
    write_enhanced(folder / "enhanced", [0.0, 5.0], [-1024.0, 0.0])
    classic = next(write_series(folder / "series", [0.0]).iterdir())
    files = {
        ".nii": [nifti()],
        ".nii.gz": [gzip.compress(nifti())],
        ".nrrd": [nrrd()],
        ".nhdr": [nrrd({"data file": "scan.nhdr"}, voxels=b"")],
        ".mha": [metaimage()],
        ".mhd": [metaimage({"ElementDataFile": "scan.raw"}, voxels=b"")],
        ".dcm": [classic.read_bytes(), (folder / "enhanced").read_bytes()],
    }
    return [
        bytes([SUFFIXES.index(suffix)]) + content
        for suffix, contents in files.items()
        for content in contents
    ]


if __name__ == "__main__":
    main()
