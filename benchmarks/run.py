# SPDX-License-Identifier: MIT
"""
The command: `python -m benchmarks.run`; `--help` lists what it can be asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, schema
from benchmarks.bars.results import SMOKE, BarResults, BarSettings
from benchmarks.bars.runner import run_bars
from benchmarks.bars.spec import BARS, GROUPS
from benchmarks.cases import Case, grid
from benchmarks.contenders import CONTENDERS
from benchmarks.driver import MeasuringError, Roster
from benchmarks.grid import GridSettings, run_grid
from benchmarks.report import page

SEED = 20_240_229


@dataclass(slots=True)
class Wanted:
    """
    What a run was asked for.
    """

    cases: list[Case] = field(default_factory=list)
    bars: list[str] = field(default_factory=list)


def make_parser() -> argparse.ArgumentParser:
    """
    Describe the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Measure pyfaster beside its peers: YCSB A, B, C, F.",
    )
    add = parser.add_argument
    add("--smoke", action="store_true", help="tiny sizes: checks answers, not speed")
    add("--bars", action="store_true", help="measure the project's bars, not the grid")
    add("--strict", action="store_true", help="fail when a bar is missed")
    add("--list", action="store_true", help="list cases and bars, measure nothing")
    add(
        "--only", action="append", metavar="NAME", help="only what has NAME in its name"
    )
    add("--contenders", metavar="A,B", help=f"some of {', '.join(CONTENDERS)}")
    add("--out", type=Path, default=Path("benchmarks/results"), metavar="DIR")
    add("--rounds", type=positive, help="rounds of each case")
    add("--items", type=positive, default=1_000_000, help="items loaded")
    add("--operations", type=positive, default=200_000, help="of a thread in a round")
    add("--batch", type=positive, default=1024, help="operations in a batch")
    add("--seed", type=int, default=SEED)
    return parser


def positive(text: str) -> int:
    """
    Read a whole number above zero.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above zero")
    return value


def choose(options: argparse.Namespace, batch: int) -> Wanted:
    """
    Decide what to measure. Plain: the grid; --bars: the bars; --smoke: both.
    """
    names: Sequence[str] = options.only or [""]
    wanted = Wanted()
    if options.smoke or options.list or not options.bars:
        wanted.cases = [
            case for case in grid(batch) if any(name in case.name for name in names)
        ]
    if options.smoke or options.list or options.bars:
        every = [*(bar.name for bar in BARS), *GROUPS]
        wanted.bars = [one for one in every if any(name in one for name in names)]
    return wanted


def roster_of(options: argparse.Namespace) -> Roster:
    """
    Give the contenders that were asked for.
    """
    if options.contenders is None:
        return Roster(list(CONTENDERS))
    names = options.contenders.split(",")
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise SystemExit(f"no such contender: {', '.join(unknown)}")
    return Roster(names)


def grid_settings(options: argparse.Namespace) -> GridSettings:
    """
    Give the grid's sizes.
    """
    if options.smoke:
        return GridSettings(1_000, 600, 64, options.rounds or 1, options.seed)
    return GridSettings(
        options.items,
        options.operations,
        options.batch,
        options.rounds or 3,
        options.seed,
    )


def bar_settings(options: argparse.Namespace) -> BarSettings:
    """
    Give the bars' sizes.
    """
    base = SMOKE if options.smoke else BarSettings()
    return replace(
        base,
        seed=options.seed,
        rounds=options.rounds or base.rounds,
        device_rounds=options.rounds or base.device_rounds,
    )


def run(options: argparse.Namespace, wanted: Wanted) -> dict[str, object]:
    """
    Measure and give the report.
    """
    sizes, bars_sizes = grid_settings(options), bar_settings(options)
    roster = roster_of(options)
    cases = run_grid(wanted.cases, roster, sizes, say) if wanted.cases else []
    bars = run_bars(wanted.bars, bars_sizes, say) if wanted.bars else BarResults()
    settings: dict[str, object] = {}
    if wanted.cases:
        settings.update({f"grid_{name}": one for name, one in asdict(sizes).items()})
    if wanted.bars:
        settings.update(
            {f"bars_{name}": one for name, one in asdict(bars_sizes).items()}
        )
    return {
        "format": schema.FORMAT,
        "version": schema.VERSION,
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "smoke": bool(options.smoke),
        "settings": settings,
        "machine": machine.describe(),
        "contenders": {
            "settings": roster.settings | bars.contender_settings,
            "missing": roster.missing | bars.contenders_missing,
        },
        "cases": cases,
        "bars": bars.bars,
        "bars_missing": bars.missing,
        "orientation": bars.orientation,
    }


def say(text: str) -> None:
    """
    Tell the user how far the run is.
    """
    print(text, flush=True)


def write(report: dict[str, object], folder: Path) -> None:
    """
    Write results.json and report.html.

    Raises:
        MeasuringError: The report is not as benchmarks/schema.py describes it.
    """
    found = schema.flaws(report)
    if found:
        raise MeasuringError("the report is malformed: " + "; ".join(found[:5]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.html").write_text(page(report), encoding="utf-8")
    say(f"written: {folder / 'results.json'}, {folder / 'report.html'}")


def bar_lines(results: Sequence[dict[str, object]]) -> list[str]:
    """
    Give the bars as lines of text: verdict, figure, bar, name.
    """
    return [
        f"{bar['verdict']!s:>10}  {bar['measured']:>9.2f} {bar['relation']} "
        f"{bar['bound']:g} {bar['unit']}  {bar['name']}: {bar['what']}"
        for bar in results
    ]


def missed(results: Sequence[dict[str, object]]) -> bool:
    """
    Whether a bar that counts was missed.
    """
    return any(bar["verdict"] == "miss" and not bar["orientation"] for bar in results)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command; give the exit status.
    """
    options = make_parser().parse_args(arguments)
    wanted = choose(options, 64 if options.smoke else options.batch)
    if options.list:
        for name in [*(case.name for case in wanted.cases), *wanted.bars]:
            say(name)
        return 0
    if not wanted.cases and not wanted.bars:
        say("nothing has such a name; --list shows all")
        return 2
    say(f"seed {options.seed}; each sequence's own seed is [seed, turn, thread, kind]")
    try:
        report = run(options, wanted)
        write(report, options.out)
    except MeasuringError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    results = report["bars"]
    if not isinstance(results, list):
        raise TypeError("bars are a list")
    for line in bar_lines(results):
        say(line)
    return 1 if options.strict and missed(results) else 0


if __name__ == "__main__":
    sys.exit(main())
