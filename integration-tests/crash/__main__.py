# SPDX-License-Identifier: MIT
"""
`python -m crash`, from the folder integration-tests.

Without `--replay` it goes through states until there are as many as were asked for: the
parent starts workers, each a process of its own, and sums up what they say.
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count

from crash.logs.kinds import log_subject
from crash.logs.tasks import LogTask
from crash.logs.workloads import LOG_WORKLOADS
from crash.medium import SECTOR
from crash.mutants import MUTANTS, BrokenSubject
from crash.real import RealSubject
from crash.subject import Subject
from crash.tasks import BaseTask, Task, fields, replay, show
from crash.toy import ToySubject
from crash.workloads import WORKLOADS

NAMES = (*WORKLOADS, *LOG_WORKLOADS)
#: Runs of logs are short: in each round they have so many seeds, which comes to about a
#: third of the states.
LOG_SEEDS = 4
#: So many rounds of all workloads, each with the next seed, at most.
ROUNDS_MAX = 10_000
#: After so many violations a worker stops.
ENOUGH = 20
#: A task is asked for so many states at least, and at most.
TASK_MIN, TASK_MAX = 500, 20_000


def subject_of(name: str, mutant: str) -> Subject:
    """
    Give a kind of store by its name.
    """
    if name == "toy":
        return ToySubject(mutant)
    if mutant:
        return BrokenSubject(mutant)
    return RealSubject()


def task_of(given: argparse.Namespace, name: str, seed: int, sector: int) -> BaseTask:
    """
    Give the task of a workload of stores, or of logs.
    """
    if name in LOG_WORKLOADS:
        return LogTask(log_subject(given.subject, given.mutant), name, seed, sector)
    return Task(subject_of(given.subject, given.mutant), name, seed, sector)


def arguments(words: list[str]) -> argparse.Namespace:
    """
    Take the command line apart.
    """
    parser = argparse.ArgumentParser(prog="python -m crash", description=__doc__)
    parser.add_argument("--states", type=int, default=10_000, help="how many to judge")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="how many processes")
    parser.add_argument("--workload", action="append", choices=NAMES)
    parser.add_argument("--subject", choices=("store", "toy"), default="store")
    parser.add_argument("--mutant", default="", help="break the store in a known way")
    parser.add_argument("--every-image", action="store_true", help="no classes")
    parser.add_argument("--replay", help="judge again the state of a line")
    parser.add_argument("--worker", type=int, help="for the parent's use")
    return parser.parse_args(words)


def tasks(given: argparse.Namespace) -> Iterator[tuple[int, str, int]]:
    """
    Give the tasks in order: a number, a workload and a seed.
    """
    names = given.workload or list(NAMES)
    numbers = count()
    for turn in range(ROUNDS_MAX):
        for name in names:
            seeds = LOG_SEEDS if name in LOG_WORKLOADS else 1
            for more in range(seeds):
                yield next(numbers), name, given.seed + turn * seeds + more


def work(given: argparse.Namespace) -> int:
    """
    Be a worker: do every n-th task until this one's part of the states is done.
    """
    names = given.workload or list(NAMES)
    part = -(-given.states // given.workers)
    share = min(TASK_MAX, max(TASK_MIN, -(-given.states // len(names))))
    whole = sum(LOG_SEEDS if name in LOG_WORKLOADS else 1 for name in names)
    known = given.subject == "store" and given.mutant in MUTANTS
    sector = MUTANTS[given.mutant].sector if known else SECTOR
    done, bad = 0, 0
    for number, name, seed in tasks(given):
        if number % given.workers != given.worker:
            continue
        if (done >= part and number >= whole) or bad >= ENOUGH:
            break
        task = task_of(given, name, seed, sector)
        for line in task.run(share, classes=not given.every_image):
            print(line, flush=True)
            if line.startswith("done:"):
                done += int(fields(line)["states"])
            bad += line.startswith("replay:")
    return 1 if bad else 0


def listen(worker: subprocess.Popen[str], said: queue.SimpleQueue[str | None]) -> None:
    """
    Hand on what a worker says; None at its end.
    """
    for line in worker.stdout or ():
        said.put(line)
    said.put(None)


def lead(given: argparse.Namespace, words: list[str]) -> int:
    """
    Start the workers; pass on what they say and sum it up.
    """
    begun = time.perf_counter()
    command = [sys.executable, "-m", "crash", *words, "--worker"]
    workers = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(given.workers)
    ]
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for worker in workers:
        threading.Thread(target=listen, args=(worker, said)).start()
    total: Counter[str] = Counter()
    silent = 0
    while silent < len(workers):
        line = said.get()
        if line is None:
            silent += 1
            continue
        print(line, end="", flush=True)
        if line.startswith("done:"):
            told = fields(line)
            for name in ("states", "deep", "checks", "recoveries", "violations"):
                total[name] += int(told[name])
    codes = [worker.wait() for worker in workers]
    seconds = time.perf_counter() - begun
    rate = round(total["states"] / seconds)
    about = {**total, "seconds": f"{seconds:.1f}", "states_per_second": rate}
    print(show("total", **about))
    if any(code not in (0, 1) for code in codes):
        return 3
    if total["states"] < given.states:
        return 2
    return 1 if total["violations"] else 0


def main(words: list[str]) -> int:
    """
    Do what the words say; give the exit status: 1 for violations, 2 for too few states,
    3 where a worker ended in another way.
    """
    given = arguments(words)
    if given.replay is not None:
        faults = replay(partial(task_of, given), given.replay)
        print("\n".join(faults) or "nothing is wrong with it")
        return 1 if faults else 0
    return lead(given, words) if given.worker is None else work(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
