"""Tables: figures by row and column, and how people and programs get to see them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

MISSING = "–"
"""What is shown where there is no value."""


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that it may lie in, shown as 0.71 (0.68…0.75)."""

    value: float
    bounds: Sequence[float] | None = None
    """Low and high; None where there are too few values for an interval."""
    remark: str = ""
    """What is shown behind it."""

    def __format__(self, style: str) -> str:
        """The figure and its bounds, each in the format `style`, and the remark."""
        text = format(self.value, style)
        if self.bounds is not None:
            text += f" ({'…'.join(format(bound, style) for bound in self.bounds)})"
        return text + self.remark

    @classmethod
    def of(cls, found: Mapping | None) -> Estimate | None:
        """From {"mean": …, "ci95": [low, high] or None}; None from None."""
        return None if found is None else cls(found["mean"], found["ci95"])


Value: TypeAlias = str | float | Estimate | None
"""What a cell holds; None is shown as MISSING."""


@dataclass(frozen=True)
class Column:
    """What a column shows of each row."""

    key: str
    """Under this name the rows hold its values, and programs get them."""
    title: str | None = None
    """Shown at its head; None: the key."""
    unit: str = ""
    """Shown behind the title."""
    style: str = ""
    """How its values are shown, as `format` takes it."""

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.key if self.title is None else self.title} {self.unit}".strip()

    def text(self, value: Value) -> str:
        """How a value is shown."""
        return MISSING if value is None else format(value, self.style)


@dataclass(frozen=True)
class Table:
    """Rows of values by the columns' keys; what no column asks for is not shown."""

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]]
    caption: str = ""
    """Stands above the table."""

    @property
    def headings(self) -> list[str]:
        """The text at the head of each column."""
        return [column.heading for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """The text of each cell, row by row."""
        return [[column.text(row[column.key]) for column in self.columns] for row in self.rows]

    def records(self) -> list[dict[str, str | float | None]]:
        """The values themselves by key, row by row, as JSON takes them; without intervals."""
        return [
            {column.key: _plain(row[column.key]) for column in self.columns} for row in self.rows
        ]

    def markdown(self) -> str:
        """The table in Markdown, below its caption."""
        lines = [self.caption, ""] if self.caption else []
        lines += [_line(self.headings), "|---" * len(self.columns) + "|"]
        return "\n".join([*lines, *map(_line, self.cells)])

    def html(self) -> str:
        """The table in HTML, as browsers and Qt show it; nothing in it is taken for markup."""
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in self.headings)
        rows = ("".join(f"<td>{escape(text)}</td>" for text in cells) for cells in self.cells)
        body = "".join(f"<tr>{row}</tr>\n" for row in rows)
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"

    def csv(self) -> str:
        """Comma-separated values at full precision, headed by the keys; empty where none is."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [column.key for column in self.columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records())
        return text.getvalue()


def _plain(value: Value) -> str | float | None:
    return value.value if isinstance(value, Estimate) else value


def _line(cells: Sequence[str]) -> str:
    """A row in Markdown; nothing in a cell ends the cell or the line."""
    texts = (" ".join(cell.replace("|", r"\|").split()) for cell in cells)
    return f"| {' | '.join(texts)} |"
