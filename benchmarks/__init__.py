# SPDX-License-Identifier: MIT
"""
Measurements of pyfaster beside its peers; run as `python -m benchmarks.run`.

The package is not part of any distribution. docs/benchmarks.md says how figures are
taken and how to read them.
"""
