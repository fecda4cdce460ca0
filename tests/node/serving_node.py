"""A node of real gateways as a process of its own: `python serving_node.py FOLDER SIM_URL STORE_URL WORKERS`. Prints its URL."""

import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from farebox.node import serve_node
from support.gateway_settings import settings_for


def main() -> int:
    folder, sim_url, store_url, workers = sys.argv[1:]
    server = {"workers": int(workers), "admin_listen": "127.0.0.1:0", "data_dir": folder}
    settings = settings_for(Path(folder), sim_url, {"server": server, "store": {"url": store_url}})
    return not uvloop.run(serve_node(settings, announce=lambda url: print(url, flush=True)))


if __name__ == "__main__":
    sys.exit(main())
