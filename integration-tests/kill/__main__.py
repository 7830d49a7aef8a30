# SPDX-License-Identifier: MIT
"""
Kill a store again and again: `python -m kill --cycles N --seed S`.

Runs from the folder integration-tests. Exit status 1 and a line to replay when a store
broke its promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from kill.campaign import Campaign, Violation
from kill.plan import FLAVOURS


def main() -> int:
    """Run one campaign for each flavour that was asked for."""
    parser = argparse.ArgumentParser(prog="kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="kills of each store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flavour", choices=FLAVOURS, help="one of them; else both")
    parser.add_argument("--store", default="file", help='"file", or "toy:MUTANT"')
    parser.add_argument("--kind", action="append", default=[], help="no other kinds")
    parser.add_argument("--keep", type=Path, help="a folder to leave all in")
    asked = parser.parse_args()
    for flavour in [asked.flavour] if asked.flavour else FLAVOURS:
        begin = perf_counter()
        with tempfile.TemporaryDirectory(prefix="kill-") as made:
            folder = Path(made)
            if asked.keep is not None:
                folder = asked.keep / flavour
                folder.mkdir(parents=True)
            try:
                kinds = tuple(asked.kind)
                with Campaign(
                    asked.store, flavour, asked.seed, folder, kinds
                ) as campaign:
                    tally = campaign.run(asked.cycles)
            except Violation as violation:
                print(violation)
                return 1
        print(f"{flavour}, seed {asked.seed}: {tally}")
        print(f"{perf_counter() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
