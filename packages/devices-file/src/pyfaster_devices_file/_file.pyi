# SPDX-License-Identifier: MIT
# What cffi makes of csrc/module.h has no types.
from typing import Any

ffi: Any
lib: Any
