# SPDX-License-Identifier: MIT
"""
What goes over a socket: a request is a line, an answer is a line, both are JSON.

Nothing that is asked changes anything. Both sides bound what they take: a request has
at most 256 bytes, an answer at most 8 MiB.
"""

from __future__ import annotations

import json
from typing import Any

REQUEST_MAX = 256
ANSWER_MAX = 8 << 20
CLIENTS_MAX = 16
#: The one request that there is.
SNAPSHOT = {"get": "snapshot"}


def line_of(message: object) -> bytes:
    """
    Give a message as a line.
    """
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def request_of(line: bytes) -> bool:
    """
    Whether a line asks for a snapshot.
    """
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message == SNAPSHOT


__all__ = [
    "ANSWER_MAX",
    "CLIENTS_MAX",
    "REQUEST_MAX",
    "SNAPSHOT",
    "line_of",
    "request_of",
]
