# SPDX-License-Identifier: MIT
"""
Kill stores and logs again and again: `python -m kill --cycles N --seed S`.

Runs from the folder integration-tests. Exit status 1 and a line to replay when one
broke its promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from kill.base import Violation
from kill.campaign import Campaign
from kill.child import is_log
from kill.log_campaign import LogCampaign
from kill.plan import FLAVOURS


def main() -> int:
    """Run one campaign for each flavour that was asked for."""
    parser = argparse.ArgumentParser(prog="kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="kills of each store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flavour", choices=FLAVOURS, help="of stores, one; else both")
    parser.add_argument(
        "--store", help='"file", "toy:MUTANT", "log" or "log:MUTANT"; else all that are'
    )
    parser.add_argument("--kind", action="append", default=[], help="no other kinds")
    parser.add_argument("--keep", type=Path, help="a folder to leave all in")
    asked = parser.parse_args()
    for what, flavour in campaigns(asked):
        begin = perf_counter()
        with tempfile.TemporaryDirectory(prefix="kill-") as made:
            folder = Path(made)
            if asked.keep is not None:
                folder = asked.keep / (flavour or "log")
                folder.mkdir(parents=True)
            try:
                with campaign_of(asked, what, flavour, folder) as campaign:
                    tally = campaign.run(asked.cycles)
            except Violation as violation:
                print(violation)
                return 1
        print(f"{flavour or what}, seed {asked.seed}: {tally}")
        print(f"{perf_counter() - begin:.1f} s")
    return 0


def campaigns(asked: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """
    Give what is killed, with the flavour of a store.
    """
    what = asked.store or "file"
    if not is_log(what):
        for flavour in [asked.flavour] if asked.flavour else FLAVOURS:
            yield what, flavour
    if is_log(what) or asked.store is None:
        yield what if is_log(what) else "log", ""


def campaign_of(
    asked: argparse.Namespace, what: str, flavour: str, folder: Path
) -> Campaign | LogCampaign:
    """
    Begin a campaign.
    """
    if is_log(what):
        return LogCampaign(what, asked.seed, folder)
    return Campaign(what, flavour, asked.seed, folder, tuple(asked.kind))


if __name__ == "__main__":
    sys.exit(main())
