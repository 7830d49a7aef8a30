# SPDX-License-Identifier: MIT
"""
Write vectors.h: what XXH3 and XXH64 give, by the reference implementation.

Run `python make_vectors.py > vectors.h` with the `xxhash` package installed.  Every
length up to LENGTH_MAX is covered for every seed by one digest over all results; some
lengths, among them those where the algorithm changes, are also given one by one so that
a failure can be narrowed down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import xxhash

LENGTH_MAX = 2048
MASK = (1 << 64) - 1

SEED = 0x0123456789ABCDEF
SEEDS = [0, 1, 0x9E3779B1, SEED, 1 << 63, MASK]

# Both sides of every boundary of the algorithm, and inputs of many blocks.
LENGTHS = [
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97),
    *(127, 128, 129, 143, 144, 239, 240, 241, 255, 256, 257, 1023, 1024, 1025),
    *(1087, 1088, 1089, 2047, 2048, 2049, 4096, 10007, 65536, 100003),
]

FUNCTIONS: dict[str, Callable[[bytes, int], int]] = {
    "FASTER_HASH_XXH3": xxhash.xxh3_64_intdigest,
    "FASTER_HASH_XXH64": xxhash.xxh64_intdigest,
}


def pattern(size: int) -> bytes:
    """The input: the top bytes of a linear congruential generator."""
    word = 0
    out = bytearray()
    for _ in range(size):
        word = (word * 6364136223846793005 + 1442695040888963407) & MASK
        out.append(word >> 56)
    return bytes(out)


def digest(function: Callable[[bytes, int], int], data: bytes, seed: int) -> int:
    """All lengths in one word; no step loses what came before."""
    word = 0
    for size in range(LENGTH_MAX + 1):
        word = (word * 0x100000001B3 + function(data[:size], seed)) & MASK
    return word


def lines() -> Iterator[str]:
    """The header, line by line."""
    data = pattern(max(LENGTHS))
    yield "/* SPDX-License-Identifier: MIT */"
    yield "/* Written by make_vectors.py from the reference implementation. */"
    yield "#ifndef HASH_VECTORS_H"
    yield "#define HASH_VECTORS_H"
    yield ""
    yield f"#define VECTOR_SEED 0x{SEED:016x}u"
    yield f"enum {{ VECTOR_SIZE_MAX = {max(LENGTHS)} }};"
    yield f"enum {{ VECTOR_LENGTH_MAX = {LENGTH_MAX} }};"
    yield ""
    yield "/* Function, seed, digest over lengths 0 ... VECTOR_LENGTH_MAX. */"
    yield "static const struct digest_vector digest_vectors[] = {"
    for name, function in FUNCTIONS.items():
        for seed in SEEDS:
            word = digest(function, data, seed)
            yield f"    {{{name}, 0x{seed:016x}u, 0x{word:016x}u}},"
    yield "};"
    yield ""
    yield "/* Function, size, hash with seed 0, hash with VECTOR_SEED. */"
    yield "static const struct value_vector value_vectors[] = {"
    for name, function in FUNCTIONS.items():
        for size in LENGTHS:
            plain, seeded = function(data[:size], 0), function(data[:size], SEED)
            yield f"    {{{name}, {size}, 0x{plain:016x}u, 0x{seeded:016x}u}},"
    yield "};"
    yield ""
    yield "#endif"


def main() -> None:
    """Write the header to standard output."""
    for line in lines():
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
