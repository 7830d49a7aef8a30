# SPDX-License-Identifier: MIT
"""
Tests of the benchmarks' own arithmetic; run as `python -m pytest benchmarks/tests`.
"""
