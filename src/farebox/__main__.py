"""`python -m farebox`: the command line."""

import sys

from farebox.cli import main

if __name__ == "__main__":
    sys.exit(main())
