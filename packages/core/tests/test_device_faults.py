# SPDX-License-Identifier: MIT
"""The faulty device from Python: rules, figures, and what reaches the core."""

from __future__ import annotations

import errno

import pytest

from pyfaster.errors import DeviceError
from pyfaster.testing import DONE, FaultyDevice, MemoryDevice, NullDevice, Probe, Rule


def codes(probe: Probe, count: int) -> list[int]:
    """The statuses of some writes, as the core judges them."""
    return [probe.put(512 * i, bytes(512)) for i in range(count)]


def test_without_rules_nothing_goes_wrong() -> None:
    """A faulty device without rules is its inner device."""
    with Probe(FaultyDevice(MemoryDevice())) as probe:
        assert probe.put(3, b"abc") == 0
        assert probe.get(0, 10) == b"\0\0\0abc"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("fail", nth=2), [0, -5, 0, 0]),
        (Rule("fail", nth=2, times=None), [0, -5, -5, -5]),
        (Rule("fail", every=2, times=None), [-5, 0, -5, 0]),
        (Rule("fail", "read sync"), [0, 0, 0, 0]),
        (Rule("fail", begin=512, end=1024), [0, -5, 0, 0]),
        (Rule("refuse", errno=errno.ENOSPC), [-28, 0, 0, 0]),
        (Rule("code", argument=0), [-5, 0, 0, 0]),
        (Rule("code", argument=12345), [-5, 0, 0, 0]),
        (Rule("bytes", argument=513), [-5, 0, 0, 0]),
        (Rule("short", argument=-1), [-5, 0, 0, 0]),
        (Rule("short"), [-5, 0, 0, 0]),
        (Rule("drop"), [0, 0, 0, 0]),
    ],
)
@pytest.mark.fault("F79")
def test_rules_fire_when_they_say(rule: Rule, expected: list[int]) -> None:
    """nth, every, times, kinds and range choose the request; 0 is never success."""
    device = FaultyDevice(MemoryDevice(), [rule])
    with Probe(device) as probe:
        assert codes(probe, 4) == expected
        assert device.fired() == len(device.injected())


def test_chance_follows_the_seed() -> None:
    """The same seed gives the same faults, another seed others."""
    rule = Rule("fail", probability=0.5, times=None)
    runs = []
    for seed in (1, 1, 2):
        print(f"seed {seed}")
        with Probe(FaultyDevice(NullDevice(), [rule], seed)) as probe:
            runs.append(codes(probe, 64))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert 8 < runs[0].count(0) < 56


def test_injected_faults_are_told() -> None:
    """Each fault says which request it hit, by which rule."""
    rules = [Rule("fail", "sync"), Rule("flip", "read", argument=9)]
    device = FaultyDevice(MemoryDevice(), rules)
    with Probe(device) as probe:
        assert probe.put(0, bytes(4)) == 0
        assert probe.get(0, 4) == b"\0\2\0\0"
        assert probe.flush() == -errno.EIO
        first, second = device.injected()
        assert (first.fault, first.kind, first.rule, first.number) == (
            "flip",
            "read",
            1,
            2,
        )
        assert (first.offset, first.length) == (0, 4)
        assert (second.fault, second.kind, second.rule) == ("fail", "sync", 0)
        figures = device.stats()
        assert (figures["reads"], figures["writes"], figures["syncs"]) == (1, 1, 1)


@pytest.mark.fault("F77")
def test_held_requests_end_after_later_ones() -> None:
    """What is held is carried out by release, over what came after it."""
    device = FaultyDevice(MemoryDevice(), [Rule("hold", "write")])
    with Probe(device) as probe:
        held = probe.write(0, b"old!")
        assert probe.put(0, b"new!") == 0
        assert probe.result(held).completions == 0
        assert device.stats()["waiting"] == 1
        assert device.release() == 1
        assert probe.wait(held).code == DONE
        assert probe.get(0, 4) == b"old!"


@pytest.mark.fault("F76")
def test_what_never_ends_ends_with_close() -> None:
    """A request that is never completed is cancelled by close."""
    probe = Probe(FaultyDevice(MemoryDevice(), [Rule("never", "sync")]))
    ticket = probe.sync()
    with pytest.raises(TimeoutError):
        probe.wait(ticket, timeout_s=0.02)
    assert probe.close() == 0
    assert probe.result(ticket).code == -errno.ECANCELED


@pytest.mark.fault("F78")
def test_completions_may_be_double_late_foreign_or_inside() -> None:
    """The raw probe sees what is wrong; the judged one is told once."""
    rules = [Rule("twice", nth=1), Rule("foreign", nth=3), Rule("late", nth=4)]
    device = FaultyDevice(MemoryDevice(), rules)
    probe = Probe(device)
    assert probe.result(probe.sync()).completions == 2
    assert probe.flush() == 0
    assert probe.wait(probe.sync()).foreign
    late = probe.sync()
    assert probe.close() == 0
    assert probe.result(late).completions == 0
    assert device.release() == 1
    assert probe.result(late).code == DONE


@pytest.mark.fault("F78")
def test_the_core_ends_a_request_once() -> None:
    """A judged request that is completed twice ends once."""
    device = FaultyDevice(MemoryDevice(), [Rule("twice", times=None)])
    with Probe(device) as probe:
        ticket = probe.write(0, b"x", judged=True)
        assert probe.wait(ticket).completions == 1
        assert probe.result(ticket).code == 0


def test_writes_are_torn_dropped_misdirected_and_stale() -> None:
    """What lies about data says done, and the data tells."""
    torn = Rule("tear", mask=0b101)
    with Probe(FaultyDevice(MemoryDevice(), [torn])) as probe:
        assert probe.put(0, b"x" * 1536) == 0
        found = probe.get(0, 1536)
        assert found == b"x" * 512 + bytes(512) + b"x" * 512
    with Probe(FaultyDevice(MemoryDevice(), [Rule("drop", "write")])) as probe:
        assert probe.put(0, b"x") == 0
        assert probe.get(0, 1) == b""
    away = Rule("misdirect", "write", argument=512)
    with Probe(FaultyDevice(MemoryDevice(), [away])) as probe:
        assert probe.put(0, b"x") == 0
        assert probe.get(512, 1) == b"x"
    stale = Rule("stale", nth=2)
    with Probe(FaultyDevice(MemoryDevice(), [stale])) as probe:
        assert [probe.put(0, data) for data in (b"a", b"b")] == [0, 0]
        assert [probe.get(0, 1) for _ in range(3)] == [b"b", b"a", b"b"]


@pytest.mark.fault("F81")
def test_a_table_may_claim_what_is_not_true() -> None:
    """Capabilities, alignment and sizes can be claimed and hidden."""
    device = FaultyDevice(
        MemoryDevice(),
        claim=["flushes", "forks"],
        hide=["volatile"],
        alignment=4096,
        sector_size=8192,
        max_io=4096,
    )
    with Probe(device) as probe:
        facts = probe.facts
        assert facts.capabilities == {"flushes", "forks", "truncates"}
        assert (facts.alignment, facts.sector_size, facts.max_io) == (4096, 8192, 4096)
        assert probe.put(0, bytes(8192)) == -errno.EINVAL


@pytest.mark.parametrize(
    "rule",
    [
        Rule("melt"),
        Rule("fail", "reads"),
        Rule("fail", nth=0),
        Rule("fail", every=0),
        Rule("fail", times=0),
        Rule("fail", probability=0),
        Rule("fail", probability=1.5),
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: Rule) -> None:
    """A wrong rule is a ValueError before anything is asked."""
    with pytest.raises(ValueError):
        FaultyDevice(MemoryDevice(), [rule])


def test_rules_that_do_not_fit_their_fault_are_refused() -> None:
    """The core knows which kinds and arguments a fault has."""
    for rule in (
        Rule("tear", "sync"),
        Rule("refuse", errno=0),
        Rule("tear", argument=2),
    ):
        with pytest.raises(DeviceError, match="Invalid argument"):
            FaultyDevice(MemoryDevice(), [rule])
