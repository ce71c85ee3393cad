"""Texts of the panel, which is narrow: what has no blanks to wrap at may break all the same."""

from __future__ import annotations

import re
from typing import Any

_LONG = 24
"""Characters that fit beside anything: longer words may break."""

_WORD = re.compile(rf"\S{{{_LONG},}}")
_PLACE = re.compile(r"[/\\_.:,-]|[^/\\_.:,-]{12}")
_BREAK = "\u200b"  # a space without width


def say(label: Any, text: str) -> None:
    """Show a plain text, with paths, names and addresses in it, in a label that wraps."""
    label.text = breakable(text)


def breakable(text: str) -> str:
    """The text, with places to break in its long words."""
    return _WORD.sub(lambda word: _PLACE.sub(rf"\g<0>{_BREAK}", word[0]), text)


def plain(text: str) -> str:
    """The text of a label as it was said."""
    return text.replace(_BREAK, "")
