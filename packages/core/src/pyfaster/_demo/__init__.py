# SPDX-License-Identifier: MIT
"""
Demonstrations that the command line runs, each of which checks its own result.
"""
