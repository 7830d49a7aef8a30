# SPDX-License-Identifier: MIT
"""
What the core itself offers, registered through the same hooks as any plugin.
"""

from __future__ import annotations

from pyfaster._builtin_codecs import BUILTIN
from pyfaster.hookspecs import hookimpl
from pyfaster.protocols import CodecProvider, HashChoice

#: The hash of keys unless another is asked for; its number in `enum faster_hash`.
XXH3 = HashChoice("xxh3", native_id=1)


class BuiltinPlugin:
    """
    The codecs of Python's own types, and the default hash.
    """

    @hookimpl
    def pyfaster_codecs(self) -> list[CodecProvider]:
        """
        Codecs for bytes, str, int, float, and the fixed sizes.
        """
        return [BUILTIN]

    @hookimpl
    def pyfaster_hashes(self) -> list[HashChoice]:
        """
        XXH3 with 64 bits.
        """
        return [XXH3]
