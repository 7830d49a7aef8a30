# SPDX-License-Identifier: MIT
"""
Hashes of keys: what a store may be opened with, and what they must give.

The hashes themselves run in the core. `reference_hash` computes the same numbers with
an independent implementation, for tests and for programs that place keys themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import xxhash

from pyfaster.errors import ConfigError
from pyfaster.protocols import HashChoice

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: The hash that every store has without this distribution.
DEFAULT = HashChoice("xxh3", native_id=1)

#: What this distribution adds.
OFFERED = (HashChoice("xxh64", native_id=2),)

_REFERENCES: dict[str, Callable[..., int]] = {
    "xxh3": xxhash.xxh3_64_intdigest,
    "xxh64": xxhash.xxh64_intdigest,
}

_SEED_END = 1 << 64


def reference_hash(name: str, data: Buffer, seed: int = 0) -> int:
    """
    Compute a key's hash as the core must.

    Args:
        name: "xxh3" or "xxh64".

        data: The encoded key.

        seed: A number below 2 to the 64.

    Returns:
        A number below 2 to the 64.

    Raises:
        ConfigError: There is no hash of that name, or the seed is out of range.
    """
    function = _REFERENCES.get(name)
    if function is None:
        raise ConfigError(
            f"there is no hash {name!r}; choose one of {', '.join(_REFERENCES)}"
        )
    if not 0 <= seed < _SEED_END:
        raise ConfigError(f"the seed {seed} is outside 0 ... 2**64 - 1")
    return function(data, seed=seed)
