# SPDX-License-Identifier: MIT
"""
results.json as one HTML page that needs nothing beside itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from benchmarks.charts import Row, bar_chart, curve

STYLE = """
body { font: 14px/1.5 sans-serif; max-width: 1400px; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff; }
h2 { margin-top: 2em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 2px 12px 2px 0; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pass { color: #1a7f37; font-weight: bold; }
.miss { color: #b3261e; font-weight: bold; }
.charts { display: flex; flex-wrap: wrap; gap: 16px 32px; }
svg text { font: 11px sans-serif; fill: #222; }
svg text.title { font-weight: bold; font-size: 12px; }
svg text.label { text-anchor: end; }
svg line.range { stroke: #111; stroke-width: 1; }
svg line.grid { stroke: #ddd; }
"""

INTRODUCTION = (
    "Bars are medians of interleaved rounds; the thin line spans the fastest and the "
    "slowest round. Ratios are medians of the ratios round by round. "
    "docs/benchmarks.md says how figures are taken."
)


def page(report: dict[str, Any]) -> str:
    """
    Give the whole page.
    """
    title = "pyfaster benchmarks" + (" (smoke: not figures)" if report["smoke"] else "")
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>{INTRODUCTION}</p>",
        machine_section(report),
        contender_section(report["contenders"]),
        bars_section(report["bars"], report["bars_missing"]),
        orientation_section(report["orientation"]),
        cases_section(report["cases"]),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    Give a table; cells are HTML already, numbers are aligned to the right.
    """
    lines = ["<table><tr>", *(f"<th>{escape(name)}</th>" for name in header), "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(cell(text) for text in row) + "</tr>")
    return "".join([*lines, "</table>"])


def cell(text: str) -> str:
    """
    Give one cell.
    """
    plain = text.replace(",", "").replace(".", "").removesuffix(" x")
    kind = ' class="number"' if plain.isdigit() else ""
    return f"<td{kind}>{text}</td>"


def machine_section(report: dict[str, Any]) -> str:
    """
    Say on what and how the figures were taken.
    """
    facts = dict(report["machine"])
    packages = facts.pop("packages")
    rows = [[escape(name), escape(str(value))] for name, value in facts.items()]
    rows += [
        [f"package {escape(name)}", escape(str(version or "not installed"))]
        for name, version in packages.items()
    ]
    rows += [
        [f"setting {escape(name)}", escape(str(value))]
        for name, value in report["settings"].items()
    ]
    rows.append(["taken at", escape(report["generated_at"])])
    return "<h2>Machine and settings</h2>" + table(["what", "value"], rows)


def contender_section(contenders: dict[str, Any]) -> str:
    """
    Say how each store was set up, and which could not be measured, and why.
    """
    rows = [
        [escape(name), escape(text)] for name, text in contenders["settings"].items()
    ]
    rows += [
        [escape(name), f'<span class="miss">not measured</span>: {escape(text)}']
        for name, text in contenders["missing"].items()
    ]
    return "<h2>Contenders</h2>" + table(["name", "set up as"], rows) if rows else ""


def bars_section(bars: list[dict[str, Any]], missing: dict[str, str]) -> str:
    """
    Show every bar with its verdict.
    """
    if not bars and not missing:
        return ""
    rows = [
        [
            escape(bar["name"]),
            f"{bar['measured']:,.2f}",
            f"{escape(bar['relation'])} {bar['bound']:g} {escape(bar['unit'])}",
            f'<span class="{bar["verdict"].split()[0]}">{bar["verdict"]}</span>'
            + (" (orientation)" if bar["orientation"] else ""),
            escape(bar["what"]),
        ]
        for bar in bars
    ]
    rows += [
        [escape(name), "", "", "not measured", escape(reason)]
        for name, reason in missing.items()
    ]
    header = ["bar", "measured", "bar at", "verdict", "what"]
    return "<h2>Bars</h2>" + table(header, rows)


def orientation_section(notes: list[dict[str, Any]]) -> str:
    """
    Show the figures that stand behind the bars, or that have none.
    """
    parts = ["<h2>For orientation</h2>"] if notes else []
    for note in notes:
        parts.append(f"<p><b>{escape(note['name'])}</b>: {escape(note['what'])}</p>")
        figures = {
            name: value
            for name, value in note["figures"].items()
            if isinstance(value, (int, float))
        }
        rows = [
            [escape(name), f"{value:,.1f}", escape(note["unit"])]
            for name, value in figures.items()
        ]
        parts.append(table(["figure", "value", "unit"], rows))
        points = note["figures"].get("curve")
        if points:
            parts.append(growth_curve(note["name"], points))
    return "".join(parts)


def growth_curve(name: str, points: list[list[float]]) -> str:
    """
    Draw bytes for each item over items.
    """
    held = [(items, now) for items, now, _ in points]
    top = [(items, peak) for items, _, peak in points]
    return curve(f"{name}: bytes for each item", [("resident", held), ("peak", top)])


def cases_section(cases: list[dict[str, Any]]) -> str:
    """
    Show the grid: charts side by side, then every figure.
    """
    parts: list[str] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        mode = (
            "single operations"
            if case["batch"] == 1
            else (f"batches of {case['batch']}")
        )
        threads = "1 thread" if case["threads"] == 1 else f"{case['threads']} threads"
        key = (
            f"{case['key_size']} B keys, {case['value_size']} B values, {mode}, "
            f"{threads}"
        )
        groups.setdefault(key, []).append(case)
    for name, members in groups.items():
        parts.append(f'<h2>{escape(name)}</h2><div class="charts">')
        parts += [bar_chart(case_title(case), rows_of(case)) for case in members]
        parts.append("</div>")
        parts.append(figures_table(members))
    return "".join(parts)


def case_title(case: dict[str, Any]) -> str:
    """
    Give a chart's title.
    """
    return f"{case['workload']} {case['distribution']}: million operations/s"


def rows_of(case: dict[str, Any]) -> list[Row]:
    """
    Turn a case's results into bars of throughput.
    """
    rows: list[Row] = []
    for name, result in case["results"].items():
        if "skipped" in result:
            rows.append(Row(name, None, 0.0, 0.0, "-"))
            continue
        rate = 1e3 / result["median_ns"]
        rows.append(
            Row(
                name,
                rate,
                1e3 / result["max_ns"],
                1e3 / result["min_ns"],
                f"{rate:.2f}  ({result['median_ns']:,.0f} ns)",
            )
        )
    return rows


def figures_table(cases: list[dict[str, Any]]) -> str:
    """
    List every figure of some cases, folded away.
    """
    rows: list[list[str]] = []
    for case in cases:
        for name, result in case["results"].items():
            if "skipped" in result:
                rows.append(
                    [
                        escape(case["name"]),
                        escape(name),
                        f"not measured: {escape(result['skipped'])}",
                    ]
                )
                continue
            times = result["time_relative_to_pyfaster"]
            rows.append(
                [
                    escape(case["name"]),
                    escape(name),
                    f"{result['median_ns']:,.1f}",
                    f"{result['min_ns']:,.1f}",
                    f"{result['max_ns']:,.1f}",
                    "" if times is None else f"{times:.2f} x",
                ]
            )
    header = ["case", "contender", "median ns", "min ns", "max ns", "time / pyfaster"]
    return f"<details><summary>Figures</summary>{table(header, rows)}</details>"
