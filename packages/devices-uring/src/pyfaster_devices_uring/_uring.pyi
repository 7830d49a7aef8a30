# SPDX-License-Identifier: MIT
# The compiled module; only `_cabi` imports it, and gives everything a type there.
from typing import Any

ffi: Any
lib: Any
