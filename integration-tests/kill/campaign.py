# SPDX-License-Identifier: MIT
"""
Lives of one store in one directory, one after another, each judged by the next.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kill.base import KINDS, BaseCampaign, Tally, Violation, build_shim
from kill.ledger import CHECKPOINTS
from kill.model import Bounds, Model, Value
from kill.plan import SESSIONS, Life, Script, Update, life


class Campaign(BaseCampaign[Life]):
    """
    Lives of one store.

    Args:
        what: Which store (`kill.stores.open_store`).

        flavour: What its keys and values are (`kill.plan.FLAVOURS`).

        folder: Where the store's directory, the ledger and the shim are made.

        kinds: The only kinds of checkpoints that are taken; all when empty.
    """

    def __init__(
        self,
        what: str,
        flavour: str,
        seed: int,
        folder: Path,
        kinds: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, seed, folder)
        self.flavour = flavour
        self.kinds = kinds
        self._scripts = [Script(flavour, seed, n) for n in range(SESSIONS)]
        self._model = Model(self._update, SESSIONS)

    def _update(self, session: int, serial: int) -> Update:
        return self._scripts[session].update(serial)

    def _next(self) -> Life:
        """The life that is due."""
        number = self.tally.lives
        return self._with_kinds(life(self.flavour, self.seed, number, self._sweep))

    def _last(self) -> Life:
        """A life that is closed in peace."""
        one = Life(self.flavour, self.seed, self.tally.lives, "none", working=(0,))
        return self._with_kinds(one)

    def _with_kinds(self, one: Life) -> Life:
        """A life that takes only the kinds that are wanted."""
        if not self.kinds:
            return one
        kinds = [
            kind if kind in self.kinds else self.kinds[number % len(self.kinds)]
            for number, kind in enumerate(one.kinds)
        ]
        return dataclasses.replace(one, kinds=tuple(kinds))

    def _judge(self, one: Life) -> None:
        """Compare what the child has found with what must be there."""
        found = self._ledger.read()
        bounds = [
            Bounds(self._ledger.committed(n), self._ledger.issued(n))
            for n in range(SESSIONS)
        ]
        before = list(self._model.points)
        keys = map(self._exact, found["keys"])
        content = dict(zip(keys, map(self._exact, found["values"]), strict=True))
        faults = list(found["faults"])
        if len(content) != len(found["keys"]):
            faults.append("a scan gave a key twice")
        faults += self._model.judge(found["points"], bounds, content)
        if faults:
            self._fail(one, faults)
        for session, point in enumerate(found["points"]):
            self._ledger.reset(session, point)
        self.tally.judged += 1
        self.tally.updates += sum(self._model.points) - sum(before)

    def _exact(self, value: int | str) -> Value:
        return value if isinstance(value, int) else value.encode("latin-1")

    def _note(self, one: Life) -> None:
        """Count its checkpoints."""
        self.tally.checkpoints += self._ledger.words[CHECKPOINTS]

    def _again(self) -> str:
        """How to see it again."""
        return f"--flavour {self.flavour} " + "".join(
            f"--kind {kind} " for kind in self.kinds
        )


__all__ = ["KINDS", "Campaign", "Tally", "Violation", "build_shim"]
