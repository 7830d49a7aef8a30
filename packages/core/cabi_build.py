# SPDX-License-Identifier: MIT
"""
Write `_native.c`: the C side of the module `pyfaster._native`.

The headers of the core are read as they are. They are the one place where the
interface is written down, so nothing here repeats a prototype.

Run by CMake: `python cabi_build.py OUTPUT VERSION HEADER...`
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

#: Read by `_cabi` to notice a module of another version than the Python around it.
VERSION_DECLARATION = "static char *const pyfaster_version;\n"

SOURCE = """
#include "faster/api.h"
#include "faster/device_tools.h"
#include "faster/flog.h"
#include "faster/hot_table.h"

static char *const pyfaster_version = "{version}";
"""


def declarations(header: Path) -> str:
    """Give a header without its preprocessor lines."""
    lines = header.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def main(output: str, version: str, *headers: str) -> None:
    """
    Generate the module's source.

    Args:
        output: The file to write.

        version: Version of the distribution being built.

        headers: The public headers, each after those that it includes.
    """
    ffi = FFI()
    for header in headers:
        ffi.cdef(declarations(Path(header)))
    ffi.cdef(VERSION_DECLARATION)
    ffi.set_source("pyfaster._native", SOURCE.format(version=version))
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
