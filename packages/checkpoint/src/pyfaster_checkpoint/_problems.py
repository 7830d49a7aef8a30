# SPDX-License-Identifier: MIT
"""
What is wrong with a checkpoint, as exceptions that say what was found and what to do.
"""

from __future__ import annotations

from pyfaster.errors import (
    CheckpointFailedError,
    CheckpointNotFoundError,
    ConfigError,
    CorruptCheckpointError,
    UnsupportedFormatError,
)

_CORRUPT = -5001
_FORMAT = -5003
_CONFIG = -5013
_RESTORE = "restore it from a backup, or recover from another checkpoint"


def damaged(
    token: str, name: str, text: str, advice: str = _RESTORE
) -> CorruptCheckpointError:
    """
    Make the error for a damaged checkpoint.

    Args:
        token: The checkpoint.

        name: The file in it; "" when it is none alone.

        text: What was expected and what was found.

        advice: What to do.
    """
    where = f"checkpoint {token}: {name}" if name else f"checkpoint {token}"
    message = f"{where}: {text}; {advice}"
    return CorruptCheckpointError(message, status=_CORRUPT, token=token)


def reported(token: str, text: str) -> CorruptCheckpointError:
    """
    Make the error for damage that has a whole message already.
    """
    return CorruptCheckpointError(text, status=_CORRUPT, token=token)


def unsupported(token: str, text: str, advice: str) -> UnsupportedFormatError:
    """
    Make the error for a checkpoint that is whole, but not for this reader or store.
    """
    return UnsupportedFormatError(
        f"checkpoint {token}: {text}; {advice}", status=_FORMAT
    )


def refused(text: str) -> ConfigError:
    """
    Make the error for a setting or an argument.
    """
    return ConfigError(text, status=_CONFIG)


def not_found(token: str) -> CheckpointNotFoundError:
    """
    Make the error for a name that no checkpoint has.
    """
    return CheckpointNotFoundError(
        f"there is no checkpoint {token!r}; see store.checkpoints() for those there are"
    )


def failed(token: str, cause: BaseException) -> CheckpointFailedError:
    """
    Make the error for a checkpoint that could not be taken.
    """
    return CheckpointFailedError(
        f"checkpoint {token}: {cause}; the store and older checkpoints can be used"
    )
