# SPDX-License-Identifier: MIT
"""
The report: of the described form, and in need of nothing beside itself.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run, schema
from benchmarks.report import page

#: Elements and attributes that make a browser load something.
LOADING = {"script", "link", "iframe", "img", "object", "embed", "base", "image", "use"}
REFERENCES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}

VOID = {"meta", "br", "hr", "rect", "line", "polyline"}


class Page(HTMLParser):
    """
    Collects what a page would load, and checks that elements are closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [tag] if tag in LOADING else []
        self.loads += [name for name, _ in attrs if name in REFERENCES]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """
    A real report: a tiny grid of contenders that are always there.
    """
    folder = tmp_path_factory.mktemp("report")
    arguments = ["--contenders", "dict,sqlite-memory", "--only", "C-uniform-k8-v8"]
    arguments += ["--items", "200", "--operations", "100", "--batch", "16"]
    assert run.main([*arguments, "--rounds", "3", "--out", str(folder)]) == 0
    assert (folder / "report.html").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return loaded


def with_everything(report: dict[str, Any]) -> dict[str, Any]:
    """
    Add what a tiny run lacks: bars, a curve, text that needs escaping.
    """
    bar = {
        "name": "read-vs-dict",
        "what": "<b>&",
        "measured": 0.5,
        "rounds": [0.5],
        "relation": "<=",
        "bound": 1.0,
        "unit": "x time",
        "orientation": False,
        "verdict": "pass",
    }
    figures = {"best": 50.0, "curve": [[10.0, 50.0, 60.0], [20.0, 55.0, 65.0]]}
    note = {"name": "memory", "what": "<i>", "unit": "B", "figures": figures}
    return report | {
        "bars": [bar],
        "orientation": [note],
        "bars_missing": {"x": "<u>"},
        "contenders": {"settings": {}, "missing": {"plyvel": "no <module>"}},
    }


def test_results_are_of_the_described_form(report: dict[str, Any]) -> None:
    """
    What a run writes fits the schema, with every round and the machine in it.
    """
    assert schema.flaws(report) == []
    assert schema.flaws(with_everything(report)) == []
    assert report["machine"]["kernel"]
    assert [case["batch"] for case in report["cases"]] == [1, 16, 1, 16]
    for case in report["cases"]:
        assert set(case["results"]) == {"dict", "sqlite-memory"}
        for result in case["results"].values():
            if "skipped" not in result:
                assert len(result["rounds_ns"]) == 3
                assert result["min_ns"] <= result["median_ns"] <= result["max_ns"]


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"version": "1"}, "report.version: '1' is not of type int"),
        ({"extra": 1}, "report: extra is unknown"),
        ({"cases": {}}, "report.cases: {} is not a list"),
        ({"machine": None}, "report.machine: None is not an object"),
        ({"bars": [{}]}, "report.bars[0]: there is no name"),
    ],
)
def test_the_schema_names_what_is_wrong(
    report: dict[str, Any], change: dict[str, Any], flaw: str
) -> None:
    """
    A wrong type, an unknown and a missing field are told with their place.
    """
    assert flaw in schema.flaws(report | change)


def test_a_missing_field_is_a_flaw(report: dict[str, Any]) -> None:
    """
    A report without one of its fields does not pass.
    """
    without = {name: value for name, value in report.items() if name != "machine"}
    assert schema.flaws(without) == ["report: there is no machine"]


def test_the_page_loads_nothing(report: dict[str, Any]) -> None:
    """
    No element and no attribute refers to anything outside the page.
    """
    text = page(with_everything(report))
    seen = Page()
    seen.feed(text)
    seen.close()
    assert seen.loads == []
    assert seen.open == []
    assert "svg" in seen.names
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)


def test_the_page_escapes_text(report: dict[str, Any]) -> None:
    """
    Reasons and descriptions stay text, whatever they contain.
    """
    text = page(with_everything(report))
    assert "no &lt;module&gt;" in text
    assert "&lt;b&gt;&amp;" in text
    assert "<u>" not in text


def test_the_page_shows_every_contender_and_case(report: dict[str, Any]) -> None:
    """
    A chart for each case, a line for each contender in it.
    """
    text = page(report)
    assert text.count("<svg") == len(report["cases"])
    assert text.count(">dict</text>") == len(report["cases"])


def test_list_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    --list names cases and bars and writes no file.
    """
    assert run.main(["--list", "--only", "memory", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["memory-best", "memory-worst", "memory"]
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_nothing_has_is_an_error(tmp_path: Path) -> None:
    """
    A misspelt --only does not pass for a run.
    """
    assert run.main(["--only", "no-such-case", "--out", str(tmp_path)]) == 2


def test_a_missed_bar_fails_a_strict_run_unless_it_is_for_orientation() -> None:
    """
    --strict looks at verdicts, and not at figures from other machines.
    """
    miss: dict[str, object] = {"verdict": "miss", "orientation": False}
    assert run.missed([miss])
    assert not run.missed([miss | {"orientation": True}])
    assert not run.missed([miss | {"verdict": "pass"}])
