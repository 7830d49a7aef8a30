# SPDX-License-Identifier: MIT
"""The version of this distribution; its build reads it from here."""

__version__ = "0.1.0"
