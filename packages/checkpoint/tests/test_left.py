# SPDX-License-Identifier: MIT
"""Going back to an older checkpoint: newer ones are left behind, and it is known."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from fake_engine import LAYOUT_ANY, FakeRecovery, recovered
from keeper_kit import fill, filled, make, take
from power_files import PowerFiles
from store_kit import built, open_store, store, tokens
from typer.testing import CliRunner

from pyfaster.errors import CorruptCheckpointError, CorruptionError, DeviceError
from pyfaster_checkpoint._cli import app
from pyfaster_checkpoint._files import LEFT
from pyfaster_checkpoint._manifest import MANIFEST
from pyfaster_checkpoint._verify import verify

KINDS = ["snapshot", "incremental", "fold-over"]


class Three:
    """A store with three checkpoints, and what each of them holds."""

    def __init__(self, kind: str = "snapshot", files: Any = None) -> None:
        self.keeper, self.files = make(files, keep=9)
        self.store = filled(count=70)
        self.store.flush(600)
        self.taken = [take(self.keeper, self.store, "snapshot")]
        for seed in (8, 9):
            fill(self.store, seed, 40)
            self.taken.append(take(self.keeper, self.store, kind))
        self.tokens = [info.token for info, _ in self.taken]
        self.states = [state for _, state in self.taken]

    def go_back(self, recover: str, **settings: Any) -> Any:
        """Go back; give the keeper, the store and the report."""
        keeper, _ = make(self.files, keep=9, **settings)
        back, report = recovered(keeper, self.store.disk, recover)
        return keeper, back, report

    def left(self) -> list[str]:
        """Those that are marked."""
        return [each for each in self.tokens if LEFT in self.files.places[each]]


@pytest.mark.parametrize("kind", KINDS)
def test_newer_ones_are_marked_before_anything_is_written(kind: str) -> None:
    """When the engine gets its first page, or its end, each newer one has a mark that
    is synced, with its name; until then nothing was written."""
    three = Three(kind)
    seen: list[Any] = []

    class Watched(FakeRecovery):
        """Looks at the marks when it may write."""

        def pages(self, address: int, data: Any, /) -> None:
            """Look."""
            seen.append(three.left())
            super().pages(address, data)

        def finish(self) -> None:
            """Look."""
            seen.append(three.left())
            super().finish()

    keeper, _ = make(three.files)
    plan = keeper.plan(three.tokens[0], LAYOUT_ANY)
    assert plan is not None
    three.files.events.clear()
    keeper.recover(plan, Watched(plan, bytearray(three.store.disk)))
    assert seen
    assert all(each == three.tokens[1:] for each in seen)
    events = [each for each in three.files.events if each[0].startswith("sync")]
    assert events == [
        event
        for token in three.tokens[1:]
        for event in (("sync", token, LEFT), ("sync-names", token))
    ]


@pytest.mark.fault("F30")
@pytest.mark.parametrize("kind", KINDS)
def test_latest_passes_over_what_was_left_behind(kind: str) -> None:
    """A life that went back and took no checkpoint may have written over what is newer:
    the latest is what it went back to, and the report and the list say why."""
    three = Three(kind)
    for _ in range(2):
        keeper, back, report = three.go_back(three.tokens[0])
        assert back.state() == three.states[0]
        keeper, back, report = three.go_back("latest")
        assert (report.token, back.state()) == (three.tokens[0], three.states[0])
        over = [each for each in report.passed_over if "/" not in each.token]
        assert [each.token for each in over] == three.tokens[:0:-1]
        for each in over:
            assert f"left behind when the store went back to {three.tokens[0]}" in (
                each.reason
            )
        infos = keeper.checkpoints()
        assert [bool(info.damage) for info in infos] == [True, True, False]


def test_retention_lets_them_go() -> None:
    """Those that were left behind do not count, and go when the next is complete."""
    three = Three()
    keeper, back, _ = three.go_back(three.tokens[0])
    fill(back, 3, 20)
    last, _ = take(keeper, back, "snapshot")
    found = [info.token for info in keeper.checkpoints()]
    assert found == [last.token, three.tokens[0]]


@pytest.mark.fault("F18", "F26", "F29")
@pytest.mark.parametrize("lies", [(), ("sync",)])
def test_a_power_cut_while_going_back(lies: tuple[str, ...]) -> None:
    """A power cut at any moment before the engine writes leaves checkpoints of which
    one recovers exactly; after it only the one that the store went back to does."""
    three = Three("fold-over", PowerFiles())
    three.files.watching = True
    three.files.lies = lies  # the name alone is what counts
    three.go_back(three.tokens[0])
    three.files.watching = False
    seen = []
    for left in [*three.files.cuts, three.files.cut()]:
        back, report = recovered(make(left, read_only=True)[0], three.store.disk)
        assert back.state() == three.states[three.tokens.index(report.token)]
        seen.append(report.token)
    assert seen[0] == three.tokens[2]
    assert seen[-1] == three.tokens[0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_left_can_be_asked_for(kind: str) -> None:
    """While its log is there, one that was left behind recovers by its token, from the
    log alone, and is the latest again."""
    three = Three(kind)
    three.go_back(three.tokens[0])
    _, back, report = three.go_back(three.tokens[2])
    assert (back.state(), report.index) == (three.states[2], None)
    assert three.left() == [three.tokens[1]]
    _, back, report = three.go_back("latest")
    assert (report.token, back.state()) == (three.tokens[2], three.states[2])


@pytest.mark.fault("F39")
def test_one_whose_log_is_written_over_is_refused() -> None:
    """One that was left behind, and whose log has records of the life that went back,
    is refused when it is asked for, and stays marked: no record passes unverified."""
    three = Three("fold-over")
    _, back, _ = three.go_back(three.tokens[0])
    fill(back, 5, 40)
    back.flush(back.tail)
    three.store.disk = back.disk
    with pytest.raises(CorruptCheckpointError) as caught:
        three.go_back(three.tokens[2])
    assert caught.value.token == three.tokens[2]
    assert three.left() == three.tokens[1:]
    _, again, report = three.go_back("latest")
    assert (report.token, again.state()) == (three.tokens[0], three.states[0])


@pytest.mark.fault("F11", "F16", "F71", "F72")
@pytest.mark.parametrize("what", ["create", "write", "sync", "close", "sync-names"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_mark_that_cannot_be_made(what: str, which: int, number: int) -> None:
    """When marking fails the opening fails with what the system said, the engine has
    written nothing, no mark is left, and the latest is what it was."""
    three = Three()
    left = [which]

    def fail(event: tuple[str, ...]) -> None:
        if event[0] == what and (what == "sync-names" or event[2] == LEFT):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(number, "refused")

    keeper, _ = make(three.files)
    plan = keeper.plan(three.tokens[0], LAYOUT_ANY)
    assert plan is not None
    engine = FakeRecovery(plan, bytearray(three.store.disk))
    three.files.fail = fail
    with pytest.raises(DeviceError, match="left behind") as caught:
        keeper.recover(plan, engine)
    assert caught.value.errno == number
    assert not [call for call in engine.calls if call.startswith(("pages", "finish"))]
    three.files.fail = lambda event: None
    assert three.left() == []
    _, back, report = three.go_back("latest")
    assert (report.token, back.state()) == (three.tokens[2], three.states[2])


def test_looking_marks_nothing() -> None:
    """An older one that is opened for reading alone leaves every file as it is."""
    three = Three()
    three.files.events.clear()
    _, back, _ = three.go_back(three.tokens[0], read_only=True)
    assert back.state() == three.states[0]
    assert three.files.events == []


def test_damage_in_the_log_marks_nothing() -> None:
    """An older one whose log turns out to be damaged was not gone back to."""
    three = Three()
    for token in three.tokens:
        del three.files.places[token]["index.dat"][:]
    three.store.disk[100] ^= 1
    with pytest.raises(CorruptCheckpointError):
        three.go_back(three.tokens[0])
    assert three.left() == []


@pytest.mark.fault("F28")
def test_a_manifest_that_comes_back() -> None:
    """A place without a manifest is marked like the others: when its manifest is there
    again, after a power cut or from a backup, it is passed over."""
    three = Three()
    place = three.files.places[three.tokens[2]]
    manifest = place.pop(MANIFEST)
    three.go_back("latest")
    place[MANIFEST] = manifest
    _, back, report = three.go_back("latest")
    assert (report.token, back.state()) == (three.tokens[1], three.states[1])
    assert report.passed_over[0].token == three.tokens[2]


@pytest.mark.fault("F24", "F38", "F43", "F87")
@pytest.mark.parametrize(
    "data", [b"", b"\0" * 34, b"\xff" * 9, b"../../etc\n", b"0" * (1 << 20)]
)
def test_a_mark_counts_whatever_is_in_it(data: bytes) -> None:
    """Bytes in a mark that name no checkpoint are not shown; the mark counts."""
    three = Three()
    three.files.places[three.tokens[2]][LEFT] = bytearray(data)
    _, back, report = three.go_back("latest")
    assert (report.token, back.state()) == (three.tokens[1], three.states[1])
    assert "went back to an older one" in report.passed_over[0].reason


@pytest.mark.fault("F29")
def test_a_mark_of_a_life_that_was_killed_is_synced() -> None:
    """A mark whose name was perhaps never synced is synced before the next life writes:
    it does not go with a power cut."""
    three = Three("snapshot", PowerFiles())
    for token in three.tokens[1:]:
        three.files.create(token, LEFT)  # killed before anything else was done
    three.go_back(three.tokens[0])
    _, report = recovered(make(three.files.cut())[0], three.store.disk)
    assert report.token == three.tokens[0]


def test_with_the_core_nothing_is_read_that_was_written_over(tmp_path: Path) -> None:
    """The everyday form: who opens an older one and writes nothing finds that one
    again, all of it, and looking through the store shows no damage."""
    pytest.importorskip("pyfaster_devices_file")
    place = tmp_path / "store"
    with open_store(place) as kv:
        kv.upsert_many(range(500), [0] * 500)
        older = kv.checkpoint("snapshot").token
        for value in range(1, 6):
            kv.upsert_many(range(9000), [value] * 9000)
        newer = kv.checkpoint("fold-over").token
    with open_store(place, recover=older) as kv:
        assert kv[5] == 0
    with open_store(place) as kv:
        assert kv.recovery is not None
        assert kv.recovery.token == older
        assert [each.token for each in kv.recovery.passed_over] == [newer]
        assert dict(kv.items()) == dict.fromkeys(range(500), 0)
    report = verify(place)
    assert report.findings == []
    assert any("left behind" in note for note in report.notes)
    runner = CliRunner()
    listed = runner.invoke(app, ["list", str(place)])
    assert (listed.exit_code, "left behind" in listed.stdout) == (0, True)
    shown = runner.invoke(app, ["show", str(place), newer, "--json"])
    assert shown.exit_code == 0
    assert older in json.loads(shown.stdout)["checkpoint"]["damage"]


@pytest.mark.fault("F33")
def test_falling_back_leaves_the_damaged_one_behind(store: Path) -> None:
    """A damaged newest one that was passed over does not come back when its damage is
    mended behind the store's back, as its log may be written over."""
    newest = tokens(store)[-1]
    path = store / "checkpoints" / newest / MANIFEST
    data = path.read_bytes()
    path.write_bytes(data[:-3] + b"xx\n")
    with open_store(store) as kv:
        state = dict(kv.items())
    path.write_bytes(data)
    with open_store(store) as kv:
        assert dict(kv.items()) == state
        assert kv.recovery is not None
        assert "left behind" in kv.recovery.passed_over[0].reason


@pytest.mark.fault("F42", "F34")
@pytest.mark.parametrize("damage", ["cut", "header", "link"])
def test_the_way_out_of_a_damaged_segment(tmp_path: Path, damage: str) -> None:
    """A damaged file of the log that only the newest needs keeps every checkpoint from
    being opened; moved away, as the error says, the older one serves, and is told."""
    pytest.importorskip("pyfaster_devices_file")
    place = tmp_path / "store"
    more: dict[str, Any] = {"segment_size": "64KiB", "key": str}
    with open_store(place, **more) as kv:
        kv["a"] = 1
        older = kv.checkpoint("snapshot").token
        kv.upsert_many([str(key) for key in range(9000)], range(9000))
        kv["a"] = 2
        newer = kv.checkpoint("fold-over").token
    last = sorted((place / "log").iterdir())[-1]
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:5000])
    elif damage == "header":
        last.write_bytes(b"\xff" + last.read_bytes()[1:])
    else:
        last.symlink_to(last.rename(tmp_path / "elsewhere"))
    for settings in ({}, {"recover": older}, {"read_only": True}):
        with pytest.raises(CorruptionError, match=last.name) as caught:
            open_store(place, **more, **settings)
        assert damage == "link" or "move it out" in str(caught.value)
    last.rename(tmp_path / "moved")
    for settings in ({"read_only": True}, {}):
        with open_store(place, **more, **settings) as kv:
            assert dict(kv.items()) == {"a": 1}
            assert kv.recovery is not None
            assert kv.recovery.token == older
            assert [one.token for one in kv.recovery.passed_over][:1] == [newer]


__all__ = ["built", "store"]
