"""A gateway as a process of its own, for tests that kill it: `python gateway_process.py FOLDER SIM_URL [unsynced]`. Prints its URL."""

import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from farebox.app import serve
from store.disk import ForgetfulDisk
from support.house import settings_for


def main() -> None:
    folder, sim_url, *more = sys.argv[1:]
    disk = ForgetfulDisk("unsynced") if "unsynced" in more else None
    uvloop.run(
        serve(
            settings_for(Path(folder), sim_url), announce=lambda url: print(url, flush=True), vfs="unsynced" if disk is not None else None
        )
    )


if __name__ == "__main__":
    main()
