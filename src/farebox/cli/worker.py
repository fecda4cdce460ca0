"""`python -m farebox.cli.worker PLACE`: one gateway of several that `farebox serve --workers` started. Nobody types this.

It is told what to do in one line on its standard input; that this closes is the sign that whoever started it is gone, and it ends by itself.
"""

import os
import signal
import sys
import threading

import uvloop

from farebox.cli.failing import problems_of
from farebox.cli.output import say, warn
from farebox.errors import FareboxError
from farebox.node import Part, work


def main() -> int:
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    threading.Thread(target=_follow, name="farebox-attached", daemon=True).start()
    try:
        uvloop.run(work(Part.of(line), began=_say))
    except FareboxError as problem:
        warn(f"farebox: {'; '.join(problems_of(problem))}")
        return 1
    return 0


def _say() -> None:
    say("serving")
    sys.stdout.flush()


def _follow() -> None:
    while os.read(0, 1):  # not through sys.stdin: the interpreter cannot end while a thread waits in there
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
