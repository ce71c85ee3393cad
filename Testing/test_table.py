"""One table for all: Markdown, HTML, CSV, and plain values for JSON and nodes of a scene."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from SliceInterpLib.table import MISSING, Column, Estimate, Table

TABLE = Table(
    (Column("method"), Column("psnr", "PSNR", "dB", ".2f"), Column("part", style=".0%")),
    [
        {"method": "linear", "psnr": Estimate(31.256, (30.0, 32.5)), "part": 0.714, "more": "no"},
        {"method": "a|b <i>\nc", "psnr": Estimate(29.0, remark=", q 0.01"), "part": None},
    ],
    caption="Two <methods>",
)


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "Two <methods>",
        "",
        "| method | PSNR dB | part |",
        "|---|---|---|",
        "| linear | 31.26 (30.00…32.50) | 71% |",
        rf"| a\|b <i> c | 29.00, q 0.01 | {MISSING} |",
    ]


def test_html_takes_nothing_for_markup():
    found = []

    class Cells(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append([tag, ""])

        def handle_data(self, data):
            if data.strip():
                found[-1][1] += data

    Cells().feed(TABLE.html())
    assert [text for tag, text in found if tag == "th"] == TABLE.headings
    assert [text for tag, text in found if tag == "td"] == sum(TABLE.cells, [])
    assert ["caption", "Two <methods>"] in found
    assert "i" not in {tag for tag, _ in found}


def test_csv_has_the_values_at_full_precision_by_their_keys():
    first, second = csv.DictReader(io.StringIO(TABLE.csv()))
    assert first == {"method": "linear", "psnr": "31.256", "part": "0.714"}
    assert second == {"method": "a|b <i>\nc", "psnr": "29.0", "part": ""}


def test_records_are_the_plain_values_for_json():
    assert json.loads(json.dumps(TABLE.records())) == [
        {"method": "linear", "psnr": 31.256, "part": 0.714},
        {"method": "a|b <i>\nc", "psnr": 29.0, "part": None},
    ]


def test_a_row_without_a_column_s_value_is_a_mistake_and_not_a_missing_value():
    with pytest.raises(KeyError):
        Table([Column("mistyped")], [{"method": "linear"}]).markdown()


def test_an_estimate_of_a_mean():
    assert Estimate.of(None) is None
    assert f"{Estimate.of({'mean': 0.5, 'ci95': [0.4, 0.6]}):+.1f}" == "+0.5 (+0.4…+0.6)"
    assert f"{Estimate.of({'mean': 0.5, 'ci95': None}):.2f}" == "0.50"
