"""A supervisor as a process of its own, with small servers as its children: `python supervising.py FOLDER MODE…`, one mode per child.

Prints what happens, one JSON object a line: `{"began": port}`, alarms by their name, places whose child ended. Its exit code tells how it went.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from farebox.serving import listening_sockets
from farebox.supervisor import Order, Supervisor

CHILD = str(Path(__file__).with_name("small_server.py"))
PATIENCE_S = 2


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


async def main(folder: str, modes: list[str]) -> bool:
    sockets = listening_sockets("127.0.0.1", 0, len(modes))
    orders = [
        Order((sys.executable, CHILD), json.dumps({"fd": one.fileno(), "folder": folder, "mode": mode}).encode(), (one.fileno(),))
        for one, mode in zip(sockets, modes, strict=True)
    ]
    supervisor = Supervisor(
        orders,
        patience_s=PATIENCE_S,
        alarm=lambda name, **facts: tell(alarm=name, **facts),
        ended=lambda place: tell(ended=place),
    )
    return await supervisor.run(began=lambda: tell(began=sockets[0].getsockname()[1]))


if __name__ == "__main__":
    run = asyncio.run if "--plain" in sys.argv else uvloop.run
    sys.exit(not run(main(sys.argv[1], [mode for mode in sys.argv[2:] if mode != "--plain"])))
