"""A gateway as a process of its own, for tests that kill it: `python gateway_process.py FOLDER SIM_URL [WORD …]`. Prints its URL.

unsynced: its disk forgets what was not synced. failing: its journal's disk does, and the ledger's is full from SIGUSR1 on, until SIGUSR2.
store=URL: one of several on that database. lost=SECONDS: after so long a silence others take it for dead. clock=FILE: its clock is wrong by
as many seconds as the file says whenever it is read. hurried: it asks providers of responses in the background again and again, and one that
ends meanwhile is followed by another after a second.
"""

import signal
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

import apsw

from farebox import limits
from farebox.app import serve
from farebox.clock import US_PER_S, Clock, wall_clock
from farebox.store import journal
from store.disk import FailingDisk, ForgetfulDisk, ForgetfulFiles
from support.gateway_settings import settings_for


def failing_disk() -> FailingDisk:
    """Says `full` and `space` once it is so."""
    disk = FailingDisk("failing")

    def fill(*_: object) -> None:
        disk.fail(apsw.FullError, after=0)
        print("full", flush=True)

    def heal(*_: object) -> None:
        disk.heal()
        print("space", flush=True)

    signal.signal(signal.SIGUSR1, fill)
    signal.signal(signal.SIGUSR2, heal)
    return disk


def wrong_clock(file: Path) -> Clock:
    return lambda: wall_clock() + int(file.read_text() or 0) * US_PER_S


def main() -> None:
    folder, sim_url, *words = sys.argv[1:]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    more = [word for word in words if "=" not in word]
    disk: apsw.VFS | None = None
    if "unsynced" in more:
        disk = ForgetfulDisk("unsynced")
    elif "failing" in more:
        disk = failing_disk()
    if "hurried" in more:
        limits.background_poll_pause_ms_min, limits.background_poll_pause_ms_max, limits.background_lease_s = 20, 40, 1
    if disk is not None:
        journal.DISK = ForgetfulFiles()
    vfs = more[0] if disk is not None else None
    settings: dict[str, dict[str, object]] = {"server": {"data_dir": folder}}
    if "store" in named:
        settings["store"] = {"url": named["store"]}
    if "lost" in named:
        settings["limits"] = {"heartbeat_lost_s": int(named["lost"])}
    clock = wrong_clock(Path(named["clock"])) if "clock" in named else wall_clock
    serving = serve(settings_for(Path(folder), sim_url, settings), announce=lambda url: print(url, flush=True), clock=clock, vfs=vfs)
    uvloop.run(serving)


if __name__ == "__main__":
    main()
