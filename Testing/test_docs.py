"""What is written: links lead somewhere, commands exist, figures are those that were measured."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from test_floors import FLOORS, HEIGHT

import SliceInterpLib
from SliceInterpLib.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *sorted((ROOT / "Docs").glob("*.md")),
    *sorted((ROOT / "Resources/Figures").glob("*.md")),
]

LINK = re.compile(r"""\]\(([^)\s]+)\)|\b(?:src|href)="([^"]+)\"""")
COMMAND = re.compile(r"sliceinterp(?: lab)? [a-z][a-z-]*\b[^`\n#]*")


def text_of(page):
    return page.read_text(encoding="utf-8")


def links_of(page):
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
    found = (one or other for one, other in LINK.findall(prose))
    return [link for link in found if not link.startswith(("http:", "https:"))]


def anchors_of(page):
    """The fragments that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(page), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands_of(page):
    """The commands named on a page, as (words, options)."""
    for piece in COMMAND.findall(text_of(page).replace("\\\n", " ")):
        words = shlex.split(piece.replace("'", ""), posix=False)[1:]
        named = words[: 2 if words[0] == "lab" else 1]
        options = {word.split("=")[0] for word in words if re.match("--[a-z]", word)}
        yield [word for word in named if re.fullmatch("[a-z-]+", word)], options


def ids(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    for link in links_of(page):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors_of(target), link


def test_links_are_seen():
    links = links_of(ROOT / "README.md")
    assert "Docs/architecture.md#limits" in links
    assert "Resources/Screenshots/step-5-check.png" in links


def test_every_page_of_docs_can_be_reached_from_the_readme():
    seen, to_do = set(), [ROOT / "README.md"]
    while to_do:
        page = to_do.pop()
        seen.add(page)
        targets = {(page.parent / link.split("#")[0]).resolve() for link in links_of(page)}
        to_do += [one for one in targets - seen if one.suffix == ".md" and one.exists()]
    assert set(PAGES) <= seen


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_exist(page, capsys):
    for words, options in commands_of(page):
        with pytest.raises(SystemExit) as end:
            main([*words, "--help"])
        told = capsys.readouterr()
        assert end.value.code == 0, f"sliceinterp {' '.join(words)}: {told.err}"
        missing = {option for option in options if not re.search(rf"{option}\b", told.out)}
        assert not missing, f"sliceinterp {' '.join(words)}"


def test_figures_of_the_readme_are_those_of_the_evidence():
    table = [line for line in text_of(ROOT / "README.md").splitlines() if line.startswith("| ")]
    figures = {cell.strip(" *") for line in table[1:] for cell in line.split("|")[2:5]} - {"–"}
    assert len(figures) > 20
    evidence = text_of(ROOT / "Docs/evidence.md")
    cells = set(re.findall(r"(?<=\| )[\d.]+(?= )", evidence))
    assert figures <= cells


def test_the_floors_are_those_that_are_tested():
    told = text_of(ROOT / "Docs/architecture.md").split("## The floors")[1].split("\n## ")[0]
    rows = [re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[0]) for row in told.split("\n|")[1:]]
    rooms = [room for row in rows for room in row]
    assert sorted(rooms) == sorted(room for floor in FLOORS for room in floor)
    heights = [HEIGHT[room] for room in rooms]
    assert heights == sorted(heights, reverse=True)


def test_pictures_are_small():
    for path in (ROOT / "Resources/Screenshots").glob("*.png"):
        assert path.stat().st_size < 400_000, path


def test_the_citation_names_this_version():
    cited = re.search(r"^version: (.+)$", text_of(ROOT / "CITATION.cff"), re.M)[1]
    assert cited == SliceInterpLib.__version__


def test_what_make_demo_installs_is_pinned():
    project = text_of(ROOT / "pyproject.toml")

    def listed(name):
        body = re.search(rf"^{name} = \[\n(.*?)^\]", project, re.M | re.S)[1]
        return re.findall(r'^  "(.+?)"', body, re.M)

    pins = listed("demo")
    assert all(re.match(r"[\w.-]+==[\d.]+(;|$)", pin) for pin in pins)
    pinned = {pin.split("==")[0] for pin in pins}
    needed = {re.match(r"[\w.-]+", one)[0] for one in listed("dependencies")}
    assert needed <= pinned
    assert not pinned & {re.match(r"[\w.-]+", one)[0] for one in listed("dev")}


def test_every_place_of_the_repositorys_owner_is_known():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git checkout")
    # Spelt so that this file is none of them.
    found = subprocess.run(
        ["git", "grep", "-lw", "OWN" + "ER"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    listed = text_of(ROOT / "CONTRIBUTING.md").split("## Before the repository is published")[1]
    assert [name for name in found if f"`{name}`" not in listed] == ["CONTRIBUTING.md"]
