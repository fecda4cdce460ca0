"""`python -m farebox.cli.attached COMMAND …`: a command that ends when whoever started it does, however that ended.

Its standard input is a pipe that nobody writes to; that it closes is the sign.
"""

import os
import signal
import sys
import threading

from farebox.cli import main


def _follow() -> None:
    while os.read(0, 1):  # not through sys.stdin: the interpreter cannot end while a thread waits in there
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow, name="farebox-attached", daemon=True).start()
    sys.exit(main())
