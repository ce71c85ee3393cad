"""Models that cannot be trusted: cards that lie, weights that are not what they seem."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hostile.case import RIGHT, Case, doubling, holding, written
from hostile.images import HEAD, nifti

_TINY = {"coarse_widths": [8, 8], "flow_widths": [8, 8], "residual_widths": [8, 8]}
_DEEP = b"[" * 200_000
_NOT_READ = "cannot be read"
_INVALID = "not valid"
_OTHER = "not those of its card"
_UNFIT = "do not fit its card"

_CARDS = {
    "empty": (b"", _NOT_READ),
    "no JSON": (b"weights: here", _NOT_READ),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\xff\xfe", _NOT_READ),
    "a list": (b"[1, 2]", _INVALID),
    "null": (b"null", _INVALID),
    "200,000 lists in each other": (_DEEP, _NOT_READ),
    "a number of 9,000 digits": (b'{"name": ' + b"9" * 9000 + b"}", _NOT_READ + "|" + _INVALID),
}
"""Whole cards."""

_LIES = {
    "no name": ({"name": None}, _INVALID),
    "a number for a name": ({"name": 7}, _INVALID),
    "a name that paints": ({"name": "\x1b[31mred\nsliceinterp: done", "sha256": "0"}, _OTHER),
    "no architecture": ({"architecture": None}, _INVALID),
    "an unknown architecture": ({"architecture": "os.system"}, "not known"),
    "another architecture": ({"architecture": "reference-unet", "configuration": {}}, "not known"),
    "no configuration": ({"configuration": None}, _INVALID),
    "an unknown setting": ({"configuration": {"shell": "reboot"}}, _INVALID),
    "words for widths": ({"configuration": {**_TINY, "flow_widths": "wide"}}, _INVALID),
    "no widths": ({"configuration": {**_TINY, "flow_widths": []}}, _UNFIT),
    "negative widths": ({"configuration": {**_TINY, "flow_widths": [-8, 8]}}, _UNFIT),
    "widths of 20,000": ({"configuration": {**_TINY, "flow_widths": [20_000] * 2}}, _INVALID),
    "widths of 10^9": ({"configuration": {**_TINY, "flow_widths": [10**9] * 2}}, _INVALID),
    "waists of 10^9": ({"configuration": {**_TINY, "flow_waists": [10**9] * 2}}, _INVALID),
    "fewer waists than widths": ({"configuration": {**_TINY, "flow_waists": [8]}}, _UNFIT),
    "10^9 blocks": ({"configuration": {**_TINY, "residual_blocks": 10**9}}, _INVALID),
    "all that is allowed": (
        {"configuration": {**_TINY, "flow_widths": [1024] * 9, "residual_blocks": 100}},
        _UNFIT,
    ),
    "10^5 stages": ({"configuration": {**_TINY, "flow_widths": [1] * 10**5}}, _INVALID),
    "a context of 10^6": ({"configuration": {**_TINY, "context": 10**6}}, _INVALID),
    "no digest": ({"sha256": None}, _INVALID),
    "another digest": ({"sha256": "0" * 64}, _OTHER),
    "no weights": ({"weights": None}, _INVALID),
    "absent weights": ({"weights": "absent.safetensors"}, _NOT_READ),
    "weights in the folder above": ({"weights": "../tiny.safetensors"}, "outside"),
    "weights at the root": ({"weights": "/etc/passwd"}, "outside"),
    "weights called ..": ({"weights": ".."}, "cannot be read|outside"),
    "weights without a name": ({"weights": ""}, "cannot be read|outside"),
    "a NUL in the weights' name": ({"weights": "a\0b"}, "cannot be read|outside"),
    "half a character in the name": ({"weights": "\ud800"}, "cannot be read|outside"),
}
"""What is changed in a good card."""


def cases() -> Iterator[Case]:
    """All of them."""
    yield _case("card", "good", lambda folder: None, RIGHT)
    for title, (card, ends) in _CARDS.items():
        yield _case("card", title, written({"tiny.json": card}), ends)
    for title, (changes, ends) in _LIES.items():
        yield _case("card", title, partial(_lie, **changes), ends)
    for category, name in (("card", "tiny.json"), ("weights", "tiny.safetensors")):
        for title, put in (("absent", None), ("a pipe", os.mkfifo), ("endless", _link_to_zero)):
            make = partial(_replaced, name=name, put=put)
            yield _case(category, title, make, _NOT_READ)
        yield _case(category, "of 1 TiB", partial(_stretched, name=name), "too large")
    yield _case("weights", "one bit flipped", _flip, _OTHER)
    for title, weights in _weights().items():
        ends = RIGHT if title == "of doubles" else _UNFIT
        yield _case("weights", title, partial(_weigh, weights=weights), ends)
    not_finite = partial(_weigh, weights=_filled(float("nan")))
    yield _case("weights", "NaN", not_finite, "not finite")


def _case(category: str, name: str, change: Callable[[Path], object], ends: str) -> Case:
    def make(folder: Path) -> None:
        written({"scan.nii": nifti()})(folder)
        _weigh(folder, _filled(0.01))
        change(folder)

    command, *others = doubling("scan.nii")
    others.remove("--method")
    others.remove("linear")
    learned = ("--method=learned", "--model=tiny.json", "--device=cpu")
    arguments = (command, *learned, *others)
    made = holding(make, HEAD, ends)
    return Case(f"model, {category}", name, made, ends, arguments, learned=True)


def _filled(value: float, dtype: str = "float32") -> Callable[[], bytes]:
    """Weights of the tiny network, all the same, made only when asked for: that needs torch."""

    def make() -> bytes:
        import torch
        from safetensors.torch import save

        from SliceInterpLib.networks.flow_inside import FlowInside

        shapes = {name: one.shape for name, one in FlowInside(**_TINY).state_dict().items()}
        kind = getattr(torch, dtype)
        return save({name: torch.full(shape, value, dtype=kind) for name, shape in shapes.items()})

    return make


def _weigh(folder: Path, weights: bytes | Callable[[], bytes]) -> None:
    """The model with these weights, and their digest on its card."""
    weights = weights() if callable(weights) else weights
    (folder / "tiny.safetensors").write_bytes(weights)
    card = {
        "name": "tiny",
        "architecture": "flow-inside-3",
        "configuration": _TINY,
        "weights": "tiny.safetensors",
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "tiny.json").write_text(json.dumps(card))


def _lie(folder: Path, **changes: object) -> None:
    path = folder / "tiny.json"
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


def _flip(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def _replaced(folder: Path, name: str, put: Callable[[Path], object] | None) -> None:
    (folder / name).unlink()
    if put:
        put(folder / name)


def _link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _stretched(folder: Path, name: str) -> None:
    """A file that claims 1 TiB and takes no space."""
    os.truncate(folder / name, 1 << 40)


def _weights() -> dict[str, bytes | Callable[[], bytes]]:
    """Files whose digest is that of the card, and that are no weights of the network."""

    class Reboot:
        def __reduce__(self) -> tuple:
            return os.mkdir, ("out/pickle-was-run",)

    header = b'{"a": {"dtype": "F32", "shape": [9999999999999], "data_offsets": [0, 4]}}'
    return {
        "pickled": pickle.dumps(Reboot()),
        "empty": b"",
        "text": b"No weights. " * 99,
        "a header of 2^63 bytes": (1 << 63).to_bytes(8, "little") + b"{}",
        "a header of nested lists": len(_DEEP).to_bytes(8, "little") + _DEEP,
        "of 10^13 numbers": len(header).to_bytes(8, "little") + header + bytes(4),
        "cut off": lambda: _filled(0.01)()[:-9],
        "of doubles": _filled(0.01, "float64"),
    }
