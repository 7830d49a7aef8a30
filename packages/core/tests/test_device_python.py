# SPDX-License-Identifier: MIT
"""Devices written in Python: served, judged, and never able to do harm."""

from __future__ import annotations

import errno
import gc
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyfaster import _cabi_devices as cabi
from pyfaster._devices import PythonDeviceServer, device_address, is_device
from pyfaster.errors import ClosedError, DeviceError, InterfaceMismatchError
from pyfaster.testing import DONE, FaultyDevice, MemoryDevice, Probe
from pyfaster.testing import _cabi as testing_cabi


class Bytes:
    """A device that keeps bytes in a bytearray, as a user would write it."""

    def __init__(self, **attributes: Any) -> None:
        self.bytes = bytearray()
        self.calls: list[str] = []
        self.__dict__.update(attributes)

    def read(self, offset: int, buffer: memoryview) -> int:
        part = self.bytes[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def write(self, offset: int, buffer: memoryview) -> int:
        end = offset + len(buffer)
        self.bytes.extend(bytes(max(0, end - len(self.bytes))))
        self.bytes[offset:end] = buffer
        return len(buffer)

    def sync(self) -> None:
        self.calls.append("sync")

    def truncate_before(self, offset: int) -> None:
        self.calls.append(f"truncate {offset}")

    def close(self) -> None:
        self.calls.append("close")


def server_of(probe: Probe) -> PythonDeviceServer:
    """What serves the device of a probe."""
    assert isinstance(probe.owner, PythonDeviceServer)
    return probe.owner


def test_a_device_in_python_keeps_what_is_written() -> None:
    """Writes, reads, syncs and truncations arrive; close is the last call, once."""
    device = Bytes()
    with Probe(device) as probe:
        assert probe.put(100, b"hello") == 0
        assert probe.get(98, 20) == b"\0\0hello"
        assert probe.flush() == 0
        assert probe.truncate_before(64) == 0
    assert server_of(probe).join(60)
    assert device.calls == ["sync", "truncate 64", "close"]
    assert not server_of(probe).failures


def test_a_device_agrees_with_a_model() -> None:
    """After 500 random requests the device holds what a bytearray holds."""
    seed = 20
    print(f"seed {seed}")
    dice, model = random.Random(seed), bytearray()
    with Probe(Bytes(threads=3)) as probe:
        for _ in range(500):
            offset, size = dice.randrange(5000), dice.randrange(1, 900)
            if dice.random() < 0.5:
                data = dice.randbytes(size)
                assert probe.put(offset, data) == 0
                model.extend(bytes(max(0, offset + size - len(model))))
                model[offset : offset + size] = data
            else:
                assert probe.get(offset, size) == bytes(model[offset : offset + size])


def test_attributes_reach_the_table() -> None:
    """What a device states of itself is what the core sees."""
    device = Bytes(
        sector_size=4096,
        alignment=512,
        capacity=1 << 20,
        max_io=8192,
        atomic_unit=512,
        capabilities={"volatile", "flushes"},
    )
    with Probe(device) as probe:
        facts = probe.facts
        assert facts.capabilities == {"volatile", "flushes"}
        assert (facts.sector_size, facts.alignment) == (4096, 512)
        assert (facts.capacity, facts.max_io, facts.atomic_unit) == (1 << 20, 8192, 512)
        assert probe.put(0, bytes(16384)) == -errno.EINVAL
        assert probe.put(1 << 20, bytes(512)) == -errno.ENOSPC


@pytest.mark.fault("F81")
@pytest.mark.parametrize(
    "attributes",
    [
        {"alignment": 3},
        {"sector_size": 100},
        {"capacity": -1},
        {"threads": 0},
        {"capabilities": {"magic"}},
    ],
)
def test_attributes_that_make_no_sense_are_refused(attributes: Any) -> None:
    """A wrong claim is refused before the device is used, and names itself."""
    with pytest.raises((ValueError, DeviceError)):
        Probe(Bytes(**attributes))


@pytest.mark.fault("F81")
def test_a_wrong_alignment_never_becomes_a_success() -> None:
    """A table that claims less alignment than its device needs: refused, not wrong."""
    device = FaultyDevice(Bytes(alignment=512), alignment=1)
    with Probe(device) as probe:
        assert probe.facts.alignment == 1
        assert probe.put(1, b"x" * 100) == -errno.EINVAL
        assert probe.put(512, b"x" * 512) == 0


def raising(error: BaseException) -> Callable[..., Any]:
    """A method that raises."""

    def method(*_arguments: object) -> Any:
        raise error

    return method


def reply(answer: object) -> Callable[..., Any]:
    """A method that returns this, whatever it is asked."""
    return lambda *_arguments: answer


@pytest.mark.fault("F79")
@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (OSError("no number"), errno.EIO),
        (OSError(0, "zero"), errno.EIO),
        (OSError(-5, "below zero"), errno.EIO),
        (OSError(DONE, "the word for success"), errno.EIO),
        (ValueError("anything"), errno.EIO),
        (SystemExit(0), errno.EIO),
        (KeyboardInterrupt(), errno.EIO),
        (StopIteration(), errno.EIO),
    ],
)
def test_what_a_device_raises_is_a_failure(error: BaseException, number: int) -> None:
    """An exception fails the request with its errno or EIO, and is kept."""
    device = Bytes()
    with Probe(device) as probe:
        for name in ("read", "write", "sync", "truncate_before"):
            setattr(device, name, raising(error))
        assert probe.put(0, b"x") == -number
        assert probe.wait(probe.read(0, 1)).code == -number
        assert probe.flush() == -number
        assert probe.truncate_before(0) == -number
        failures = server_of(probe).failures
        assert [failure.error for failure in failures] == [error] * 4
        kinds = [failure.kind for failure in failures]
        assert kinds == ["write", "read", "sync", "truncate"]
        # The thread is still there.
        device.write = lambda offset, buffer: len(buffer)  # type: ignore[method-assign]
        assert probe.put(0, b"x") == 0


@pytest.mark.fault("F55")
def test_a_device_without_memory_fails_the_request() -> None:
    """MemoryError becomes ENOMEM, and the device is asked again next time."""
    device = Bytes()
    with Probe(device) as probe:
        device.read = raising(MemoryError())  # type: ignore[method-assign]
        assert probe.wait(probe.read(0, 8)).code == -errno.ENOMEM
        del device.read
        assert probe.put(0, b"x") == 0


@pytest.mark.fault("F79")
@pytest.mark.parametrize("answer", [None, True, False, -1, 9, 1 << 70, 8.0, "8", b""])
def test_an_answer_that_makes_no_sense_is_a_failure(answer: object) -> None:
    """Whatever is not a number of bytes from 0 to the length is EIO."""
    device = Bytes()
    with Probe(device) as probe:
        vars(device).update(read=reply(answer), write=reply(answer))
        assert probe.wait(probe.read(0, 8)).code == -errno.EIO
        assert probe.wait(probe.write(0, bytes(8))).code == -errno.EIO
        assert len(server_of(probe).failures) == 2


@pytest.mark.fault("F79")
@pytest.mark.parametrize("answer", [0, False, True, DONE])
def test_an_answer_where_none_is_due_is_a_failure(answer: object) -> None:
    """sync and truncate_before return None, so False cannot pass for success."""
    device = Bytes()
    with Probe(device) as probe:
        vars(device).update(dict.fromkeys(("sync", "truncate_before"), reply(answer)))
        assert probe.flush() == -errno.EIO
        assert probe.truncate_before(0) == -errno.EIO


@pytest.mark.fault("F79")
def test_a_failing_close_is_told() -> None:
    """What close raises is what closing the device returns."""
    device = Bytes(close=raising(OSError(errno.EDQUOT, "quota")))
    probe = Probe(device)
    assert probe.close() == -errno.EDQUOT
    assert server_of(probe).failures[0].kind == "close"


def test_a_short_write_is_told_as_it_is() -> None:
    """Fewer bytes than asked are reported, and judged by the core."""
    device = Bytes(write=lambda offset, buffer: len(buffer) - 1)
    with Probe(device) as probe:
        result = probe.wait(probe.write(0, bytes(8)))
        assert (result.code, result.bytes) == (DONE, 7)
        assert probe.put(0, bytes(8)) == -errno.EIO


def test_a_device_cannot_reach_what_it_was_lent() -> None:
    """A buffer kept beyond the call is released, or a copy of the device's own."""
    kept: list[memoryview] = []
    device = Bytes()

    def read(offset: int, buffer: memoryview) -> int:
        kept.extend((buffer, buffer[1:3]))
        buffer[:] = b"abcd"
        return 4

    def write(offset: int, buffer: memoryview) -> int:
        with pytest.raises(TypeError):
            buffer[0] = 1
        return len(buffer)

    device.read, device.write = read, write  # type: ignore[method-assign]
    with Probe(device) as probe:
        ticket = probe.read(0, 4)
        assert probe.wait(ticket).code == DONE
        with pytest.raises(ValueError, match="released"):
            kept[0][0] = 1
        kept[1][:] = b"XX"
        assert probe.data(ticket) == b"abcd"
        assert probe.put(0, b"efgh") == 0
    del probe
    gc.collect()
    assert bytes(kept[1]) == b"XX"


@pytest.mark.fault("F76")
def test_a_device_that_never_answers_does_not_hang_close() -> None:
    """Close ends by its deadline; what comes later reaches nobody."""
    go, began = threading.Event(), threading.Event()
    device = Bytes()

    def read(offset: int, buffer: memoryview) -> int:
        began.set()
        assert go.wait(60)
        buffer[:] = b"late"
        return 4

    device.read = read  # type: ignore[method-assign]
    probe = Probe(PythonDeviceServer(device, timeout_s=0.05))
    server = server_of(probe)
    ticket, queued = probe.read(0, 4), probe.sync()
    assert began.wait(60)
    assert probe.close() == -errno.ETIMEDOUT
    assert probe.result(ticket).code == -errno.ETIMEDOUT
    assert probe.result(queued).code == -errno.ETIMEDOUT
    assert device.calls == []
    go.set()
    assert server.join(60)
    assert device.calls == ["close"]
    assert probe.data(ticket) == b"\xee" * 4
    assert probe.result(ticket).completions == 1
    figures = server.stats()
    assert (figures["timeouts"], figures["strays"]) == (2, 1)


@pytest.mark.fault("F76")
def test_truncation_has_a_deadline() -> None:
    """A device that does not come back from truncate_before is not waited for."""
    go = threading.Event()
    device = Bytes(truncate_before=lambda offset: go.wait(60))
    probe = Probe(PythonDeviceServer(device, timeout_s=0.05))
    assert probe.truncate_before(1) == -errno.ETIMEDOUT
    go.set()
    assert server_of(probe).join(0) is False
    probe.close()
    assert server_of(probe).join(60)


@pytest.mark.fault("F78")
def test_completions_that_belong_to_nothing_are_refused() -> None:
    """A second, a made-up and an old id are told apart from a request that is out."""
    queue = cabi.Queue(sector_size=512, alignment=1, timeout_ms=1)
    probe = testing_cabi.Probe(queue.address)
    pulled = cabi.Pulled()
    assert probe.sync(False)[0] == 0
    assert queue.take(pulled, 0)
    first = pulled.id
    for made_up in (0, 1, first + 1, first + (1 << 32), (1 << 64) - 1):
        assert not queue.complete(made_up, DONE, 0)
    assert queue.complete(first, DONE, 0)
    assert not queue.complete(first, DONE, 0)
    assert not queue.take(pulled, 0)
    assert probe.result(0)["completions"] == 1
    assert queue.stats()["strays"] == 6
    assert probe.close() == -errno.ETIMEDOUT  # nobody serves CLOSE


@pytest.mark.fault("F77")
def test_calls_run_at_once_and_end_in_any_order() -> None:
    """With two threads the second request ends while the first is still served."""
    go = threading.Event()
    device = Bytes(threads=2)

    def read(offset: int, buffer: memoryview) -> int:
        if offset == 0:
            assert go.wait(60)
        return len(buffer)

    device.read = read  # type: ignore[method-assign]
    with Probe(device) as probe:
        first, second = probe.read(0, 8), probe.read(8, 8)
        assert probe.wait(second).code == DONE
        assert probe.result(first).completions == 0
        go.set()
        assert probe.wait(first).code == DONE


def test_a_device_is_handed_over_once() -> None:
    """A second taker, and one of another interface, are refused."""
    server = PythonDeviceServer(Bytes())
    with pytest.raises(InterfaceMismatchError):
        server.__faster_device__(cabi.DEVICE_ABI + 1)
    address, keep = device_address(server)
    assert keep is server
    with pytest.raises(ClosedError):
        device_address(server)
    cabi.device_close(address)
    memory = MemoryDevice()
    memory.close()
    with pytest.raises(ClosedError):
        device_address(memory)


@pytest.mark.parametrize("thing", [None, 7, object(), "device", Bytes.read])
def test_what_is_no_device_is_named(thing: Any) -> None:
    """A TypeError says what is missing."""
    assert not is_device(thing)
    with pytest.raises(TypeError, match="is no device"):
        device_address(thing)


def test_an_address_that_is_none_is_refused() -> None:
    """What __faster_device__ gives is looked at before it is used."""

    class Wrong:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def __faster_device__(self, abi: int, /) -> int:
            return self.answer  # type: ignore[no-any-return]

    for answer in (None, 0, -1, 1 << 64, "1", True):
        with pytest.raises(TypeError, match="no address"):
            device_address(Wrong(answer))


def test_a_server_that_nobody_takes_closes_its_device() -> None:
    """Closing it, or dropping it, closes the device once and ends the threads."""
    one, other = Bytes(), Bytes()
    server = PythonDeviceServer(one)
    server.close()
    assert server.join(60)
    server.close()
    dropped = PythonDeviceServer(other, threads=2)
    threads = list(dropped._threads)
    del dropped
    gc.collect()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert one.calls == other.calls == ["close"]


@pytest.mark.fault("F65")
@pytest.mark.parametrize("stuck", [False, True])
def test_the_interpreter_ends_with_requests_in_flight(stuck: bool) -> None:
    """An open device, even one that never answers, does not keep the process."""
    program = f"""
    import threading
    from pyfaster import _devices
    from pyfaster.testing import Probe

    if not {stuck}:
        _devices.EXIT_S = 60.0  # its thread ends, however slowly

    began = threading.Event()

    class Device:
        def read(self, offset, buffer):
            began.set()
            if {stuck}:
                threading.Event().wait()
            return len(buffer)
        def write(self, offset, buffer): return len(buffer)
        def sync(self): pass
        def truncate_before(self, offset): pass
        def close(self): print("closed", flush=True)

    probe = Probe(Device())
    probe.read(0, 8)
    assert began.wait(60)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == ("" if stuck else "closed\n")


@pytest.mark.fault("F65")
@pytest.mark.parametrize("closed", [False, True])
def test_cycles_are_collected_in_any_order(closed: bool) -> None:
    """Devices, wrappers and probes that hold each other are dropped without harm."""
    program = f"""
    import gc, warnings
    from pyfaster.testing import FaultyDevice, MemoryDevice, Probe
    from pyfaster.testing import RecordingDevice, Rule

    warnings.simplefilter("ignore", ResourceWarning)

    class Device:
        def read(self, offset, buffer): return len(buffer)
        def write(self, offset, buffer): return len(buffer)
        def sync(self): pass
        def truncate_before(self, offset): pass
        def close(self): pass

    def chain(inner):
        rules = [Rule("late", times=None), Rule("foreign")]
        faulty = FaultyDevice(inner, rules)
        recording = RecordingDevice(faulty)
        probe = Probe(recording)
        inner.cycle = faulty.cycle = recording.cycle = probe
        assert (probe.put(0, b"x") if {closed} else probe.write(0, b"x")) == 0
        return probe

    for _ in range(20):
        for inner in (Device(), MemoryDevice()):
            untaken = FaultyDevice(Device())
            untaken.cycle = untaken
            probe = chain(inner)
            if {closed}:
                probe.close()
            del probe, inner, untaken
        gc.collect()
    probe = chain(Device())
    """
    program = program.replace('Rule("late", times=None), ', "") if closed else program
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
