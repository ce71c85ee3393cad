"""Hostile input: each case ends right or with one line, and leaves nothing behind.

The cases are in the package `hostile`; they run in a process of their own, each in a fork of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostile import all_cases
from hostile.case import Case
from hostile.controls import controls

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and limits memory")

CASES = all_cases()
CONTROLS = list(controls())


def run(*options: str) -> dict[str, dict]:
    """What became of each case, by its title."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        [sys.executable, "-m", "hostile", "--json", *options],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(here.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {f"{row['category']}: {row['name']}": row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict]:
    """Of all, in two processes: most computers have two cores."""
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(lambda first: run("--every", "2", "--first", first), "01")
        return {title: row for half in halves for title, row in half.items()}


@pytest.fixture(scope="module")
def control_outcomes() -> dict[str, dict]:
    return run("--controls")


def test_no_two_cases_have_one_title() -> None:
    assert len({case.title for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize(("case", "complaint"), CONTROLS, ids=[case.name for case, _ in CONTROLS])
def test_misbehaviour_is_seen(case: Case, complaint: str, control_outcomes: dict) -> None:
    assert re.search(complaint, "\n".join(control_outcomes[case.title]["complaints"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_hostile_input_ends_well(case: Case, outcomes: dict) -> None:
    outcome = outcomes[case.title]
    if outcome["ended"] == "skipped":
        pytest.skip(outcome["message"])
    assert not outcome["complaints"]
