# SPDX-License-Identifier: MIT
"""Settings of all tests here: the same examples in every run; helpers are found."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("checkpoint", derandomize=True, deadline=None)
settings.load_profile("checkpoint")
