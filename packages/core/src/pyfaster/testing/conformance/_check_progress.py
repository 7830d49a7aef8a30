# SPDX-License-Identifier: MIT
"""
V9 to V11: poll, wait and close; and requests made from inside a completion.
"""

from __future__ import annotations

import threading

from pyfaster.testing.conformance._drive import ROUND_MS, Drive, Ticket
from pyfaster.testing.conformance._model import check, must
from pyfaster.testing.conformance._profile import KEEPS, USABLE, room
from pyfaster.testing.conformance._subject import Subject, pattern

MIB = 1 << 20

# --- V10: poll ----------------------------------------------------------------------


@check("V10-poll-of-nothing", "poll with nothing in flight gives 0.", USABLE)
def poll_nothing(subject: Subject) -> None:
    drive = subject.open()
    answers = {drive.poll() for _ in range(10)}
    must(answers == {0}, f"poll gave {sorted(answers)}")


@check(
    "V10-poll-counts-no-more-than-there-were",
    "poll counts at most the requests that were submitted.",
    USABLE,
    room(MIB),
)
def poll_counts(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    counted = 0
    for number in range(64):
        drive.write(number * unit, pattern(number, unit))
        answer = drive.poll()
        must(answer >= 0, f"poll gave {answer}")
        counted += answer
    drive.finish()
    must(counted <= 64, f"poll counted {counted} of 64 requests")


@check(
    "V10-one-poll-is-enough",
    "After one poll the requests before it end without further calls.",
    USABLE,
    room(MIB),
)
def one_poll(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(32)]
    tickets += [drive.read(at * unit, unit) for at in range(32)]
    must(drive.poll() >= 0, "poll failed")
    must(drive.watch(tickets), "without further calls they never end")


@check(
    "V10-one-wait-is-enough",
    "After one wait the requests before it end without further calls.",
    USABLE,
    room(MIB),
)
def one_wait(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(32)]
    must(drive.wait(0) >= 0, "wait failed")
    must(drive.watch(tickets), "without further calls they never end")


@check(
    "V10-sync-is-gathered-too",
    "A sync ends after one poll like reads and writes do.",
    USABLE,
)
def sync_gathered(subject: Subject) -> None:
    drive = subject.open()
    ticket = drive.sync()
    drive.poll()
    must(drive.watch([ticket]), "without further calls it never ends")


@check(
    "V10-poll-by-another-thread",
    "A thread that has submitted nothing may poll for those that have.",
    USABLE,
    room(MIB),
)
def poll_elsewhere(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(16)]
    poller = threading.Thread(target=drive.poll)
    poller.start()
    poller.join()
    must(drive.watch(tickets), "without further calls they never end")


# --- V11: wait ----------------------------------------------------------------------


@check("V11-wait-of-nothing", "wait with nothing in flight returns, with 0.", USABLE)
def wait_nothing(subject: Subject) -> None:
    drive = subject.open()
    for timeout_ms in (0, 1, 20):
        answer = drive.wait(timeout_ms)
        must(answer == 0, f"wait({timeout_ms}) gave {answer}")


@check("V11-wait-zero-is-poll", "wait(0) does not fail and counts as poll.", USABLE)
def wait_zero(subject: Subject) -> None:
    drive = subject.open()
    ticket = drive.write(0, pattern(1, subject.unit))
    answer = drive.wait(0)
    must(0 <= answer <= 1, f"wait(0) gave {answer} with one request")
    subject.once(drive, ticket)


@check(
    "V11-wait-brings-completions",
    "By waiting alone all requests end, each once.",
    USABLE,
    room(MIB),
)
def wait_completes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(64)]
    counted = 0
    for _ in range(64 + subject.patience):
        if all(ticket.finished for ticket in tickets):
            break
        answer = drive.wait(ROUND_MS)
        must(answer >= 0, f"wait gave {answer}")
        counted += answer
    must(all(ticket.finished for ticket in tickets), "wait does not bring them")
    must(counted <= 64, f"wait counted {counted} of 64 requests")
    subject.once(drive, *tickets)


def _waited(subject: Subject, drive: Drive, ticket: Ticket) -> None:
    """
    Wait for a request by the table's `wait` and nothing else.
    """
    for _ in range(subject.patience):
        if ticket.finished:
            break
        answer = drive.wait(ROUND_MS)
        must(answer >= 0, f"wait gave {answer}")
        drive.idle(ticket)
    must(ticket.finished, f"wait does not bring it: {ticket}")


@check(
    "V11-waiting-alone-completes-ones-own",
    "A thread that only submits and waits, one request after the other, gets each.",
    USABLE,
    room(MIB),
)
def wait_alone(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    for number in range(16):
        ticket = drive.write(number * unit, pattern(number, unit))
        _waited(subject, drive, ticket)
        sync = drive.sync()
        _waited(subject, drive, sync)
        read = drive.read(number * unit, unit)
        _waited(subject, drive, read)
        subject.once(drive, ticket, sync, read)


@check(
    "V11-waiting-alone-beside-other-threads",
    "A thread that waits gets its own requests, also when others leave theirs alone.",
    USABLE,
    room(MIB),
)
def wait_beside(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    theirs: list[Ticket] = []
    gathered, over = threading.Event(), threading.Event()

    def leave() -> None:
        theirs.extend(drive.write(at * unit, pattern(at, unit)) for at in range(8))
        theirs.append(drive.sync())
        gathered.set()
        over.wait()

    other = threading.Thread(target=leave, daemon=True)
    other.start()
    gathered.wait()
    try:
        for number in range(8, 16):
            _waited(subject, drive, drive.write(number * unit, pattern(number, unit)))
            _waited(subject, drive, drive.sync())
    finally:
        over.set()
        other.join()
    subject.once(drive, *theirs)


@check(
    "V11-wait-ends-when-another-thread-works",
    "Threads that wait come back while another submits and polls.",
    USABLE,
    room(MIB),
)
def wait_elsewhere(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    answers: list[int] = []
    waiters = [
        threading.Thread(target=lambda: answers.append(drive.wait(500)), daemon=True)
        for _ in range(3)
    ]
    for waiter in waiters:
        waiter.start()
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(32)]
    subject.once(drive, *tickets)
    for waiter in waiters:
        waiter.join(subject.patience * ROUND_MS / 1000)
    must(len(answers) == 3, f"{3 - len(answers)} of 3 threads are still in wait")
    must(min(answers) >= 0, f"wait gave {min(answers)}")


# --- V9: close ----------------------------------------------------------------------


def _close(drive: Drive) -> None:
    answer = drive.close()
    must(answer == 0, f"close gave {answer}")


def _closed_once(drive: Drive, tickets: list[Ticket]) -> None:
    _close(drive)
    for ticket in tickets:
        must(len(ticket.ends) == int(ticket.accepted), f"not completed once: {ticket}")


@check("V9-close-of-an-unused-device", "A device may be closed unused.", USABLE)
def close_unused(subject: Subject) -> None:
    _close(subject.open())


@check("V9-close-after-use", "close of a device with nothing in flight is 0.", USABLE)
def close_used(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(2, subject.unit))
    subject.get(drive, 0, subject.unit)
    subject.synced(drive)
    _close(drive)


@check(
    "V9-close-with-writes-in-flight",
    "close completes each write that is in flight, once, before it returns.",
    USABLE,
    room(MIB),
)
def close_writes(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    _closed_once(drive, [drive.write(at * unit, pattern(at, unit)) for at in range(64)])


@check(
    "V9-close-with-reads-in-flight",
    "close completes each read that is in flight, once, before it returns.",
    USABLE,
    room(MIB),
)
def close_reads(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    subject.put(drive, 0, pattern(3, 64 * unit))
    _closed_once(drive, [drive.read(at * unit, unit) for at in range(64)])


@check(
    "V9-close-with-syncs-in-flight",
    "close completes each sync that is in flight, once, before it returns.",
    USABLE,
)
def close_syncs(subject: Subject) -> None:
    drive = subject.open()
    subject.put(drive, 0, pattern(4, subject.unit))
    _closed_once(drive, [drive.sync() for _ in range(16)])


@check(
    "V9-close-with-polled-requests",
    "close after a poll completes what is still in flight, once.",
    USABLE,
    room(MIB),
)
def close_polled(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(32)]
    drive.poll()
    tickets += [drive.read(at * unit, unit) for at in range(32)]
    _closed_once(drive, tickets)


@check(
    "V9-nothing-comes-after-close",
    "After close has returned no completion comes.",
    USABLE,
    room(MIB),
)
def quiet_after_close(subject: Subject) -> None:
    drive, unit = subject.open(), subject.unit
    tickets = [drive.write(at * unit, pattern(at, unit)) for at in range(64)]
    _close(drive)
    before = sum(len(ticket.ends) for ticket in tickets)
    drive.settle()
    after = sum(len(ticket.ends) for ticket in tickets)
    must(before == after, f"{after - before} completions after close")


@check("V9-open-and-close-often", "Opening and closing often goes well.", USABLE)
def often(subject: Subject) -> None:
    for number in range(20):
        drive = subject.open(f"n{number}")
        drive.write(0, pattern(number, subject.unit))
        _close(drive)


# --- V2, V5: submitting from inside a completion ------------------------------------


def _chain(subject: Subject, drive: Drive, count: int, kind: str) -> list[Ticket]:
    """
    Submit a request whose completion submits the next; wait for all of them.
    """
    unit, over = subject.unit, threading.Event()
    tickets: list[Ticket] = []
    numbers = iter(range(count + 1))

    def step() -> None:
        number = next(numbers)
        if number == count:
            over.set()
        elif kind == "read":
            tickets.append(drive.read(0, unit, then=step))
        elif kind == "write" or number % 2 == 0:
            data = pattern(number, unit)
            tickets.append(drive.write(number % 8 * unit, data, then=step))
        else:
            tickets.append(drive.sync(then=step))

    step()
    for _ in range(count + subject.patience):
        if over.is_set():
            break
        if drive.wait(ROUND_MS) == 0:
            over.wait(ROUND_MS / 1000)
    must(over.is_set(), f"the chain ended after {len(tickets)} of {count} requests")
    return tickets


@check(
    "V2-write-from-a-completion",
    "A completion may submit a write, whose completion may again.",
    USABLE,
    room(MIB),
)
def chain_writes(subject: Subject) -> None:
    drive = subject.open()
    subject.once(drive, *_chain(subject, drive, 32, "write"))
    if "discards" not in subject.profile.capabilities:
        for number in range(24, 32):
            subject.same(
                drive, number % 8 * subject.unit, pattern(number, subject.unit)
            )


@check(
    "V2-read-from-a-completion",
    "A completion may submit a read, whose completion may again.",
    USABLE,
    KEEPS,
)
def chain_reads(subject: Subject) -> None:
    drive, data = subject.open(), pattern(5, subject.unit)
    subject.put(drive, 0, data)
    tickets = _chain(subject, drive, 32, "read")
    subject.once(drive, *tickets)
    must(all(ticket.data == data for ticket in tickets), "some reads differ")


@check(
    "V2-sync-from-a-completion",
    "A completion may submit a sync, and a sync's completion a write.",
    USABLE,
    room(MIB),
)
def chain_syncs(subject: Subject) -> None:
    drive = subject.open()
    subject.once(drive, *_chain(subject, drive, 32, "by turns"))
