# SPDX-License-Identifier: MIT
"""
The figures that this project holds itself to, each beside its bar.
"""
