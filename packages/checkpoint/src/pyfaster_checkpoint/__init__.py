# SPDX-License-Identifier: MIT
"""
Checkpoints of pyfaster's durable stores: taken while sessions work, recovered from
after any crash.

Installed, it serves every durable store; nothing here needs to be called.
`pyfaster.checkpoints` has the contracts and the values, `Coordinator` makes keepers for
directories that no store has open.
"""

from pyfaster_checkpoint._events import CleanUpFailed
from pyfaster_checkpoint._files import DiskFiles
from pyfaster_checkpoint._keeper import Keeper
from pyfaster_checkpoint._plugin import Coordinator
from pyfaster_checkpoint._version import __version__

__all__ = ["CleanUpFailed", "Coordinator", "DiskFiles", "Keeper", "__version__"]
