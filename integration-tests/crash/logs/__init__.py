# SPDX-License-Identifier: MIT
"""
The durable log under the crash simulator.

A run of a log is recorded like one of a store: the device and the two slot files on one
clock, and between their requests what was issued and what was acknowledged. What a
power cut may leave is opened, read to its end and compared (`oracle`); then the log
goes on and is opened once more (`judge`). Some of the recoveries are cut off, too.
"""
