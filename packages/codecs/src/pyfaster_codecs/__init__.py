# SPDX-License-Identifier: MIT
"""
What can be stored in pyfaster beyond bytes, str, int and float.

Plain records (`Struct`, `Numpy`), objects as MessagePack (`MsgPack`), pydantic models
as JSON (`Json`), codecs of one's own (`codec`, `register`), and hashes of keys. Types
and dtypes can also be passed to `pyfaster.open` as they are.
"""

from pyfaster_codecs._custom import CustomCodec, codec
from pyfaster_codecs._hashes import reference_hash
from pyfaster_codecs._json import Json
from pyfaster_codecs._msgpack import MsgPack
from pyfaster_codecs._numpy import Numpy
from pyfaster_codecs._plugin import register, unregister
from pyfaster_codecs._struct import Struct
from pyfaster_codecs._version import __version__

__all__ = [
    "CustomCodec",
    "Json",
    "MsgPack",
    "Numpy",
    "Struct",
    "__version__",
    "codec",
    "reference_hash",
    "register",
    "unregister",
]
