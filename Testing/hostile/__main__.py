"""Run the cases: `python -m hostile [--json] [--only REGEX] …`, from the folder Testing.

Prints a Markdown table, or JSON with a row for each case.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from hostile import all_cases
from hostile.case import Case, make_places, remove
from hostile.controls import controls
from hostile.running import Outcome, run
from SliceInterpLib.table import Column, Table


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m hostile")
    parser.add_argument("--json", action="store_true", help="print JSON, not a Markdown table")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose title it matches")
    parser.add_argument("--controls", action="store_true", help="run what has to be complained of")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th case only")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="from the K-th, from 0")
    options = parser.parse_args()
    cases = [case for case, _ in controls()] if options.controls else all_cases()
    cases = cases[options.first :: options.every]
    outcomes = list(_outcomes([case for case in cases if re.search(options.only, case.title)]))
    print(json.dumps([one.as_dict() for one in outcomes]) if options.json else _table(outcomes))


def _outcomes(cases: Sequence[Case]) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        Path(folder).chmod(0o755)
        place = Path(folder, "case")
        for case in cases:
            if case.learned:
                import_module("SliceInterpLib.interpolators.learned")  # once, before the forks
            make_places(place)
            yield run(case, place)
            remove(place)


def _table(outcomes: list[Outcome]) -> str:
    rows = []
    for one in outcomes:
        words = one.message.removeprefix("sliceinterp: error: ")
        ended = f"{one.ended}: WRONG, {'; '.join(one.complaints)}" if one.complaints else one.ended
        rows.append({**one.as_dict(), "case": one.name, "outcome": ended, "message": words})
    columns = (
        *map(Column, ("category", "case", "outcome", "message")),
        Column("peak_mib", "peak", "MiB"),
    )
    wrong = sum(bool(one.complaints) for one in outcomes)
    peak = max((one.peak_mib for one in outcomes), default=0)
    return "\n\n".join(
        [
            Table(columns, rows).markdown(),
            f"{len(outcomes)} cases, {wrong} wrong, at most {peak} MiB.",
        ]
    )


if __name__ == "__main__":
    main()
