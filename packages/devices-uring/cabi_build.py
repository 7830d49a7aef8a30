# SPDX-License-Identifier: MIT
"""
Write `_uring.c`: the C side of the module `pyfaster_devices_uring._uring`.

The header of the module is read as it is, so nothing here repeats a prototype.

Run by CMake: `python cabi_build.py OUTPUT VERSION HEADER`
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

#: Read by `_cabi` to notice a module of another version than the Python around it.
VERSION_DECLARATION = "static char *const uring_version;\n"

SOURCE = """
#include "module.h"

static char *const uring_version = "{version}";
"""


def declarations(header: Path) -> str:
    """Give a header without its preprocessor lines."""
    lines = header.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def main(output: str, version: str, header: str) -> None:
    """
    Generate the module's source.

    Args:
        output: The file to write.

        version: Version of the distribution being built.

        header: What the module shows.
    """
    ffi = FFI()
    ffi.cdef(declarations(Path(header)))
    ffi.cdef(VERSION_DECLARATION)
    ffi.set_source("pyfaster_devices_uring._uring", SOURCE.format(version=version))
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
