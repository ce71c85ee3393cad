"""A figure to draw on, without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from SliceInterpLib.errors import MethodError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(**options: Any) -> Figure:
    """matplotlib's Figure, which is imported when first needed; options as it takes them.

    Raises MethodError if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MethodError(
            "Pictures need matplotlib, which is not installed. "
            "Install it with: pip install matplotlib"
        ) from missing
    return Figure(**options)
