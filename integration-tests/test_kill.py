# SPDX-License-Identifier: MIT
"""
A store whose process is killed at any moment keeps what it promised, and no more.

`kill` is the harness; here it runs against the store on files, and against a toy that
it has to find wrong wherever that is wrong.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kill import log_plan, plan
from kill.campaign import KINDS, Campaign, Tally, Violation, build_shim
from kill.log_campaign import LogCampaign
from kill.log_child import MUTANTS as LOG_MUTANTS
from kill.model import Bounds, Model, Value, apply
from kill.toy import MUTANTS

pytestmark = [pytest.mark.once, pytest.mark.slow]

SEED = 20_26
#: Kills of one ageing directory; a nightly run asks `python -m kill` for more.
KILLS = {"fixed": 200, "varlen": 60}
TOY_KILLS = 120
LOG_KILLS = 60


def run(what: str, flavour: str, kills: int, folder: Path) -> Tally:
    """Run a campaign, and say what it did."""
    with Campaign(what, flavour, SEED, folder) as campaign:
        tally = campaign.run(kills)
    print(f"seed {SEED}, {flavour}: {tally}")
    assert tally.killed == kills
    return tally


@pytest.mark.fault("F29")
@pytest.mark.fault("F49")
@pytest.mark.fault("F50")
@pytest.mark.parametrize("flavour", plan.FLAVOURS)
def test_a_store_survives_being_killed(flavour: str, tmp_path: Path) -> None:
    """
    Life after life of one directory finds exactly a prefix of each session's updates.

    Lives end before, in the middle of and behind changes of files that are counted, in
    each phase of checkpoints of each kind, and at moments of their parent's choice.
    """
    tally = run("file", flavour, KILLS[flavour], tmp_path)
    assert tally.judged >= KILLS[flavour] // 2
    assert tally.checkpoints >= KILLS[flavour] // 2
    assert {*plan.PHASES, "parent"} <= set(tally.kills)
    changes = [way.split() for way in tally.kills if " " in way]
    assert {where for _, where in changes} == set(plan.WHERE)
    assert len({kind for kind, _ in changes}) >= 4


def test_a_toy_without_faults_survives(tmp_path: Path) -> None:
    """The harness finds nothing where nothing is wrong, whenever it kills."""
    tally = run("toy:", "fixed", TOY_KILLS, tmp_path)
    assert {*plan.PHASES, "parent"} <= set(tally.kills)
    changes = [way.split() for way in tally.kills if " " in way]
    assert {where for _, where in changes} == set(plan.WHERE)
    assert {"write", "sync", "create"} <= {kind for kind, _ in changes}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_toy_is_found_wrong(mutant: str, tmp_path: Path) -> None:
    """Each broken rule ends the campaign, with a line that shows it again."""
    with (
        Campaign(f"toy:{mutant}", "fixed", SEED, tmp_path) as campaign,
        pytest.raises(Violation, match=f"replay: .* --store toy:{mutant} .* --seed"),
    ):
        campaign.run(TOY_KILLS)


@pytest.mark.fault("F29")
@pytest.mark.fault("F49")
@pytest.mark.fault("F50")
def test_a_log_survives_being_killed(tmp_path: Path) -> None:
    """
    Life after life of one directory finds what was acknowledged, whole and in order.

    Threads and tasks append and commit in every way; meanwhile cursors are saved, and
    the beginning and the end are cut off. Lives end before, in the middle of and behind
    changes of files that are counted, and at moments of their parent's choice.
    """
    with LogCampaign("log", SEED, tmp_path) as campaign:
        tally = campaign.run(LOG_KILLS)
    print(f"seed {SEED}, log: {tally}")
    assert tally.killed == LOG_KILLS
    assert tally.judged >= LOG_KILLS // 3
    assert tally.updates > 500
    changes = [way.split() for way in tally.kills if " " in way]
    assert {where for _, where in changes} == set(plan.WHERE)
    assert {"write", "sync"} <= {kind for kind, _ in changes}
    assert "parent" in tally.kills


@pytest.mark.parametrize("mutant", LOG_MUTANTS)
def test_a_log_that_is_used_wrongly_is_found(mutant: str, tmp_path: Path) -> None:
    """Each wrong that a child does ends the campaign, with a line that shows it."""
    with (
        LogCampaign(f"log:{mutant}", SEED, tmp_path) as campaign,
        pytest.raises(Violation, match=f"replay: .* --store log:{mutant} .*--seed"),
    ):
        campaign.run(LOG_KILLS)


def test_entries_tell_whose_they_are() -> None:
    """Each entry is its own, in its life; a damaged one is none."""
    seen = set()
    for writer in range(log_plan.WRITERS):
        for serial in (1, 2, 1 << 40):
            for life in (0, 7, 65_535, 65_536, 70_000):
                data = log_plan.entry(SEED, writer, serial, life)
                known = log_plan.parsed(SEED, data, life + 3)
                assert known == (writer, serial, life)
                assert log_plan.parsed(SEED, data[:-1] + b"!", life) is None
                assert log_plan.parsed(SEED + 1, data + b"!", life) is None
                seen.add(data)
    assert len(seen) == log_plan.WRITERS * 15
    assert log_plan.parsed(SEED, b"", 1) is None


def test_lives_of_a_log_differ() -> None:
    """Two hundred lives have every style, mode, place, cut and truncation."""
    lives = [log_plan.log_life(SEED, number, 1) for number in range(200)]
    assert {one.style for one in lives} == set(log_plan.STYLES)
    assert {one.mode for one in lives} == {*log_plan.MODES, "none"}
    assert {one.where for one in lives} == set(plan.WHERE)
    assert {one.in_flight for one in lives} == {1, 3}
    assert {one.writers for one in lives} == set(range(1, log_plan.WRITERS + 1))
    assert {(one.cut, one.truncate) for one in lives} == {
        (cut, truncate) for cut in (False, True) for truncate in (False, True)
    }
    assert all(log_plan.LogLife.from_text(one.to_text()) == one for one in lives)


PROGRAM = """
import ctypes, os, sys
where = int(sys.argv[1])
file = os.open("data", os.O_CREAT | os.O_WRONLY)
os.write(file, b"12345678")
folder = os.open(".", os.O_RDONLY)
words = (ctypes.c_uint64 * 2)()
arm = ctypes.CDLL(None).kill_arm
arm.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32)
os.write(1, b"these are not counted: ")
os.lseek(file, 0, os.SEEK_SET)
arm(ctypes.addressof(words), 2, where)
os.write(1, b"nor those")
os.fsync(folder)
exec(sys.argv[2])
assert words[0] == 2, words[0]
os._exit(7)
"""

BEFORE = "data=12345678"

#: A change of files, with what is there behind it and in the middle of it.
CHANGES = {
    "os.write(file, b'abcdefgh')": ("data=abcdefgh", "data=abcd5678"),
    "os.pwrite(file, b'abcdef', 8)": (f"{BEFORE}abcdef", f"{BEFORE}abc"),
    "os.pwritev(file, [b'abcd'], 0)": ("data=abcd5678", "data=abcd5678"),
    "os.fsync(file)": (BEFORE, BEFORE),
    "os.fdatasync(file)": (BEFORE, BEFORE),
    "os.ftruncate(file, 2)": ("data=12", "data=12"),
    "os.rename('data', 'x')": ("x=12345678", "x=12345678"),
    "os.rename('data', 'y', src_dir_fd=folder, dst_dir_fd=folder)": (
        "y=12345678",
        "y=12345678",
    ),
    "os.unlink('data')": ("", ""),
    "os.unlink('data', dir_fd=folder)": ("", ""),
    "os.mkdir('new')": (f"{BEFORE} new/", f"{BEFORE} new/"),
    "os.open('z', os.O_CREAT | os.O_WRONLY, dir_fd=folder)": (
        f"{BEFORE} z=",
        f"{BEFORE} z=",
    ),
}


def look(folder: Path) -> str:
    """Give what is in a folder, on one line."""
    return " ".join(
        f"{path.name}/" if path.is_dir() else f"{path.name}={path.read_text()}"
        for path in sorted(folder.iterdir())
    )


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the library that counts."""
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("where", plan.WHERE)
def test_the_second_change_ends_the_process(
    change: str, where: str, shim: Path, tmp_path: Path
) -> None:
    """Before it nothing has happened, in the middle half of a write, behind it all."""
    number = plan.WHERE.index(where) + 1
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(number), change],
        cwd=tmp_path,
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert done.stdout == b"these are not counted: nor those"
    after, middle = CHANGES[change]
    assert look(tmp_path) == {"before": BEFORE, "middle": middle, "after": after}[where]


# --- the plan -----------------------------------------------------------------------


@pytest.mark.parametrize("flavour", plan.FLAVOURS)
@pytest.mark.parametrize("session", range(plan.SESSIONS))
def test_a_plan_is_the_same_however_it_is_cut(flavour: str, session: int) -> None:
    """Runs from any serial on hold the updates that are asked for one by one."""
    script = plan.Script(flavour, SEED, session)
    single = [script.update(serial) for serial in range(1, 2000)]
    verbs = Counter((one.sort, one.verb) for one in single)
    assert len(verbs) >= 8
    for first in (1, 2, 95, 96, 97, 500):
        serial, longest = first, 0
        for begin, updates in script.run(first, 2000 - first):
            assert begin == serial
            assert updates == single[begin - 1 : begin - 1 + len(updates)]
            assert len({(one.sort, one.verb) for one in updates}) == 1
            serial += len(updates)
            longest = max(longest, len(updates))
        assert serial == 2000
        assert longest == plan.BLOCK


def test_lives_end_in_every_way() -> None:
    """Two hundred lives have every mode, place, phase, and number of checkpoints."""
    lives = [plan.life("fixed", SEED, number, 1) for number in range(200)]
    assert {one.mode for one in lives} == {*plan.MODES, "none"}
    assert {one.where for one in lives} == set(plan.WHERE)
    phases = Counter(one.phase for one in lives if one.mode == "phase")
    assert set(phases) == set(plan.PHASES)
    assert {one.kinds[0] for one in lives} == set(plan.KINDS)
    ends = {(one.phase, one.kinds[one.nth - 1]) for one in lives if one.mode == "phase"}
    assert {kind for phase, kind in ends if phase == "persist"} == set(plan.KINDS)
    assert len(ends) >= 17
    sessions = {one.working for one in lives}
    assert {len(working) for working in sessions} == {1, 2, 3, 4}
    assert all(plan.Life.from_text(one.to_text()) == one for one in lives)


def test_tags_are_told_apart() -> None:
    """Each update's tag is its own, and says whose it is."""
    for session in range(plan.SESSIONS):
        for serial in (1, 2, 1 << 20, (1 << 40) - 1):
            assert plan.tagged(plan.tag(session, serial)) == (session, serial)


# --- the model ----------------------------------------------------------------------


def replay(flavour: str, points: list[int]) -> dict[Value, Value]:
    """Do the sessions' updates one session after another, as a store would."""
    content: dict[Value, Value] = {}
    for session, point in enumerate(points):
        script = plan.Script(flavour, SEED, session)
        for serial in range(1, point + 1):
            apply(content, script.update(serial))
    return content


def tags_of(flavour: str, points: list[int]) -> set[Value]:
    """Give the keys of tags that the sessions write."""
    scripts = [plan.Script(flavour, SEED, session) for session in range(len(points))]
    return {
        one.key
        for script, point in zip(scripts, points, strict=True)
        for one in map(script.update, range(1, point + 1))
        if one.sort == "tag"
    }


def model(flavour: str) -> Model:
    """Give a model that has seen nothing."""
    scripts = [plan.Script(flavour, SEED, n) for n in range(plan.SESSIONS)]
    return Model(lambda session, serial: scripts[session].update(serial), len(scripts))


def damages(
    content: dict[Value, Value], tags: set[Value]
) -> Iterator[tuple[str, dict[Value, Value]]]:
    """Give contents that differ from a right one in one thing."""
    for key, value in content.items():
        rest = {other: content[other] for other in content if other != key}
        if key not in tags:  # another session may have deleted it
            yield f"without {key!r}", rest
        if isinstance(value, int):
            yield f"{key!r} one more", {**rest, key: value + 1}
            continue
        yield f"{key!r} twice", {**rest, key: value + value}
        first, _, last = value.partition(b",")
        yield f"{key!r} cut", {**rest, key: last}
        yield f"{key!r} with a stranger", {**rest, key: value + b"7," + first}


@pytest.mark.parametrize("flavour", plan.FLAVOURS)
def test_a_model_sees_every_damage(flavour: str) -> None:
    """A right content is right, in any order of sessions; one with a damage is not."""
    points = [170, 0, 230, 195]
    bounds = [Bounds(0, 300)] * 4
    content = replay(flavour, points)
    assert model(flavour).judge(points, bounds, content) == []
    count = 0
    for what, damaged in damages(content, tags_of(flavour, points)):
        assert model(flavour).judge(points, bounds, damaged) != [], what
        count += 1
    assert count > 100
    known = next(iter(content))
    alien = known + 10_000 if isinstance(known, int) else known + b"!"
    assert model(flavour).judge(points, bounds, {**content, alien: 1}) != []


@pytest.mark.parametrize("flavour", plan.FLAVOURS)
def test_a_model_sees_an_update_too_many_and_one_too_few(flavour: str) -> None:
    """A content is right at its own commit points, and wrong one update aside."""
    caught = 0
    for serial in range(1, 300):
        points, beside = [serial, 0, 0, 0], [serial + 1, 0, 0, 0]
        bounds = [Bounds(0, 400)] * 4
        here, there = replay(flavour, points), replay(flavour, beside)
        one = plan.Script(flavour, SEED, 0).update(serial + 1)
        if here == there:  # the delete of an absent key, say
            assert one.verb not in ("upsert", "append")
            continue
        assert model(flavour).judge(beside, bounds, here) != [], one
        assert model(flavour).judge(points, bounds, there) != [], one
        caught += 1
    assert caught > 200


def test_a_model_knows_what_was_promised_and_begun() -> None:
    """Fewer updates than were promised, or more than were begun, are a fault."""
    points = [10, 0, 0, 0]
    content = replay("fixed", points)
    rest = [Bounds(0, 0)] * 3
    for committed, issued in ((0, 10), (10, 10), (4, 50)):
        bounds = [Bounds(committed, issued), *rest]
        assert model("fixed").judge(points, bounds, content) == []
    for committed, issued in ((11, 20), (0, 9)):
        bounds = [Bounds(committed, issued), *rest]
        (fault,) = model("fixed").judge(points, bounds, content)
        assert fault.startswith("session 0: 10 updates survived")


@pytest.mark.parametrize("flavour", plan.FLAVOURS)
def test_a_model_remembers_what_it_has_read(flavour: str) -> None:
    """What a recovery gave stays, until an update that survives changes it."""
    bounds = [Bounds(0, 400)] * 4
    first, second = [90, 90, 90, 90], [90, 90, 90, 91]
    judged = model(flavour)
    content = replay(flavour, first)
    assert judged.judge(first, bounds, content) == []
    assert judged.judge(first, bounds, content) == []
    lost = tags_of(flavour, first)
    changed = {key: value for key, value in content.items() if key not in lost}
    assert judged.judge(second, bounds, changed) != []


def test_the_kinds_are_the_shims() -> None:
    """The names of kinds are in the order of the shim's."""
    source = (Path(__file__).parent / "kill" / "shim.c").read_text()
    body = source.split("enum kind {", 1)[1].split("}", 1)[0]
    names = [word.split()[0].lower() for word in body.split(",") if word.split()]
    assert ["none", *names] == list(KINDS)
