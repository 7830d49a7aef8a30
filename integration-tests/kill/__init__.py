# SPDX-License-Identifier: MIT
"""
Ending a store's process by SIGKILL, again and again, on one directory.

`plan` says what each session does at each serial number, and how each life ends;
`child` lives such a life in a process of its own; `campaign` starts lives, kills them,
and judges what each finds of the one before. `python -m kill` runs it.
"""
