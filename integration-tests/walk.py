# SPDX-License-Identifier: MIT
"""
Pages that are walked through, step by step, in one folder.

    python integration-tests/walk.py docs/getting-started.md

A block ```python file=NAME is written to a file of that name. A block of ```console
runs its commands in the folder: `pyfaster`, `python FILE`, and `curl -s URL`, which is
done here. It says `status=137` where SIGKILL is the end, as a shell would, and
`beside=FILE` where that file runs meanwhile: it is started, says a line when it is
ready, and is ended by Ctrl-C. Ports that the page names are replaced by free ones, so
that two walks do not meet.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import examples
import house

_PORT = re.compile(r"(?<=port=)\d{4,5}|(?<=127\.0\.0\.1:)\d{4,5}")
_PATIENCE_S = 120

#: Runs a file, where Ctrl-C may have been ignored: a shell does so behind an "&".
_HEARS_CTRL_C = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def is_walk(page: Path) -> bool:
    """Say whether a page has files to be written."""
    return any("file" in block.marks for block in examples.blocks(page, "python"))


def steps(page: Path, have: Collection[str]) -> list[examples.Block]:
    """Give the blocks of a page that can be walked with what is installed, in order."""
    both = examples.blocks(page, "python") + examples.blocks(page, "console")
    return sorted(
        (block for block in both if block.needs <= set(have)),
        key=lambda block: block.line,
    )


def commands(block: examples.Block) -> list[tuple[list[str], str]]:
    """Give the commands of a console block, each with what it prints."""
    first, *rest = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert first == "", f"line {block.line}: output before the first command"
    split = (part.partition("\n") for part in rest)
    return [(shlex.split(command), output) for command, _, output in split]


class Walk:
    """A folder in which a page is walked through."""

    def __init__(self, page: Path, folder: Path, held: ExitStack) -> None:
        self.folder = folder
        named = set(_PORT.findall(house.text(page)))
        self.ports = {port: str(free_port(held)) for port in sorted(named)}
        self.environment = {
            **os.environ,
            "COLUMNS": "200",
            "PYTHONUTF8": "1",
            "XDG_RUNTIME_DIR": str(folder),
        }

    def here(self, text: str) -> str:
        """Give a text with the ports of this walk."""
        return _PORT.sub(lambda found: self.ports[found[0]], text)

    def step(self, block: examples.Block) -> None:
        """Write a block's file, or run its commands and compare what they print."""
        if block.language == "python":
            (self.folder / block.marks["file"]).write_text(self.here(block.text))
            return
        beside = block.marks.get("beside")
        with self.running(beside) if beside else nullcontext():
            for words, output in commands(block):
                status, printed = self.run([self.here(word) for word in words])
                said = int(block.marks.get("status", "0"))
                assert status == said, f"{words} ended with {status}:\n{printed}"
                same = doctest.OutputChecker().check_output(
                    output, printed, doctest.ELLIPSIS
                )
                assert same, f"{words}\nexpected:\n{output}\nprinted:\n{printed}"

    def run(self, words: list[str]) -> tuple[int, str]:
        """Run one command; give its status as a shell would, and what it printed."""
        if words[:2] == ["curl", "-s"]:
            with urllib.request.urlopen(words[2], timeout=_PATIENCE_S) as answer:
                return 0, answer.read().decode()
        done = subprocess.run(
            program(words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=_PATIENCE_S,
            check=False,
        )
        status = 128 - done.returncode if done.returncode < 0 else done.returncode
        return status, done.stdout + (done.stderr if status not in (0, 137) else "")

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Have a file run meanwhile, from its first line on until Ctrl-C."""
        process = subprocess.Popen(
            [sys.executable, "-c", _HEARS_CTRL_C, name],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), f"{name} ended without a line"
            yield
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=_PATIENCE_S)
            assert process.returncode == 0, f"{name} ended with {process.returncode}"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def program(words: list[str]) -> list[str]:
    """Give the words that start a command of a page."""
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    assert words[0] == "pyfaster", words
    return [sys.executable, "-m", *words]


def free_port(held: ExitStack) -> int:
    """Give a port that nobody listens at, and that the system gives to nobody else."""
    with ExitStack() as stack:
        probe = stack.enter_context(socket.socket())
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        if sys.platform == "linux":  # where a server may listen at it all the same
            held.push(stack.pop_all())
        port: int = probe.getsockname()[1]
        return port


def walk(page: Path, folder: Path, have: Collection[str]) -> int:
    """Walk through a page in a folder; give the number of steps."""
    chosen = steps(page, have)
    with ExitStack() as held:
        through = Walk(page, folder, held)
        for block in chosen:
            through.step(block)
    return len(chosen)


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    print(walk(place, Path.cwd(), examples.installed()))
