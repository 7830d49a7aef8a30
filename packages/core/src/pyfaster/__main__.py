# SPDX-License-Identifier: MIT
"""
`python -m pyfaster`: the command line.
"""

from pyfaster._cli import main

if __name__ == "__main__":
    main()
